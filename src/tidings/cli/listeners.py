"""Where a broker listens, and what it tells clients, as people write it: lists with commas."""

import re

import click

from tidings.cli.address import Address
from tidings.kafka.settings import ListenerSettings

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
UNNAMED = ""
"""Stands for the listener of --host and --port."""

LISTEN_METAVAR = "NAME=HOST:PORT,…"
ADVERTISE_METAVAR = "HOST:PORT,NAME=HOST:PORT,…"

Addresses = dict[str, Address]
"""By the names of listeners."""


def listeners_of(context: click.Context, parameter: click.Parameter, text: str | None) -> Addresses:
    """Return addresses to listen on by name, as --listen says them: a callback of click's."""
    del context, parameter
    found = _addresses(text, port_min=0)
    if UNNAMED in found:
        raise click.BadParameter(
            f"{text!r} names no listener. Say NAME=HOST:PORT; --host and --port are for the one "
            "that needs no name."
        )
    return found


def advertised_of(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Addresses:
    """Return what clients are told by listener, as --advertise says it: a callback of click's."""
    del context, parameter
    return _addresses(text, port_min=1)


def _addresses(text: str | None, *, port_min: int) -> Addresses:
    found: Addresses = {}
    for part in [] if text is None else text.split(","):
        name, equals, where = part.strip().rpartition("=")
        address = Address.parse(where, port_min=port_min)
        if address is None or (equals and not NAME.fullmatch(name)):
            raise click.BadParameter(
                f"{part!r} is no address. Say HOST:PORT, as in log.example:9092, or"
                " NAME=HOST:PORT where a listener has a name."
            )
        if name in found:
            raise click.BadParameter(f"{text!r} says two addresses for one listener.")
        found[name] = address
    return found


def named_listeners(listening: Addresses, advertised: Addresses) -> tuple[ListenerSettings, ...]:
    """Return the listeners that have names.

    Raises:
        UsageError: Clients are told of one that is none.
    """
    for name in advertised:
        if name not in (UNNAMED, *listening):
            raise click.UsageError(
                f"--advertise names a listener, {name}, that --listen does not."
                f" Say --listen {name}=HOST:PORT as well."
            )
    return tuple(
        ListenerSettings(name, *address, *advertised.get(name, (None, None)))
        for name, address in listening.items()
    )
