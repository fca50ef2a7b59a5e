"""One node of the challenge."""

import click

from tidings.cli.options import design_option
from tidings.errors import InvalidRequest
from tidings.maelstrom.launch import run


@click.command()
@design_option
@click.option(
    "--gossip/--no-gossip",
    default=True,
    show_default=True,
    help="Whether nodes of the journal design talk to each other or only to the services.",
)
def maelstrom(design: str, *, gossip: bool) -> None:
    """Be one node: Maelstrom's protocol on stdin and stdout."""
    try:
        run(design, gossip=gossip)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
