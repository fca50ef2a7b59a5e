"""What several commands share: kinds of options."""

from collections.abc import Callable
from typing import TypeVar

import click

from tidings.maelstrom.designs import MODULES

_Command = TypeVar("_Command", bound=Callable[..., object])

POSITIVE = click.IntRange(min=1)
NOT_NEGATIVE = click.FloatRange(min=0)
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


def design_option(command: _Command) -> _Command:
    """Add `--design`, the name of one of this project's own."""
    option = click.option(
        "--design",
        default="journal",
        show_default=True,
        callback=_design,
        help="One of this project's designs: journal, gossip, local-index, offset-list, naive.",
    )
    return option(command)


def _design(context: click.Context, parameter: click.Parameter, name: str) -> str:
    del context, parameter
    if name not in MODULES:
        raise click.BadParameter(f"{name!r} is no design. Choose one of {', '.join(MODULES)}.")
    return name
