"""The command line: turns options into settings and puts the parts together.

A command is imported when it is wanted: a node of the challenge must answer soon after its start.
"""

import sys
from importlib import import_module

import click

import tidings

# kio imports hypothesis where that is installed, which takes longer than all that a command needs.
sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type] # as import documents it

_COMMANDS = {
    "challenge": "challenge",
    "check": "challenge",
    "cluster": "cluster",
    "consume": "consume",
    "cost": "cost",
    "groups": "groups",
    "maelstrom": "maelstrom",
    "produce": "produce",
    "serve": "serve",
    "sim": "sim",
    "top": "top",
    "topics": "topics",
    "verify": "verify",
}
"""The commands, and the module of this package in which each is."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"{__name__}.{_COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tidings.__version__, message="tidings %(version)s")
def main() -> None:
    """A Kafka-style log that keeps nothing on its nodes."""
    if not __debug__:
        raise click.UsageError(
            "Python was started with -O or PYTHONOPTIMIZE, which removes the checks that Tidings "
            "relies on. Start it without."
        )
