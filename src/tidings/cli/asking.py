"""What the commands share that ask a broker: where it is, and how answers and errors are told."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import click
import msgspec

from tidings.cli.address import Address
from tidings.client.cluster import Cluster, join
from tidings.client.errors import BrokerRefused
from tidings.errors import TidingsError
from tidings.types import Json

_Command = TypeVar("_Command", bound=Callable[..., object])

INTERRUPTED = 130


def _address(context: click.Context, parameter: click.Parameter, text: str) -> Address:
    del context, parameter
    found = Address.parse(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no address. Say HOST:PORT, as in 127.0.0.1:9092.")
    return found


def broker_option(command: _Command) -> _Command:
    """Give a command `--broker`."""
    option = click.option(
        "-b",
        "--broker",
        default="127.0.0.1:9092",
        show_default=True,
        envvar="TIDINGS_BROKER",
        show_envvar=True,
        metavar="HOST:PORT",
        callback=_address,
        help="Any broker of the cluster, of any kind that speaks Kafka's protocol in clear.",
    )
    return option(command)


def json_option(command: _Command) -> _Command:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="For scripts.")(command)


def ask(broker: Address, act: Callable[[Cluster], Awaitable[None]]) -> None:
    """Do something with a cluster; end with exit status 1 and a text where that fails."""

    async def main() -> None:
        async with join(*broker) as cluster:
            await act(cluster)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (TidingsError, BrokerRefused) as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        known, unknown = group.split((TidingsError, BrokerRefused))
        if known is None or unknown is not None:
            raise
        raise click.ClickException("; ".join(str(error) for error in known.exceptions)) from group


def say_json(value: Json) -> None:
    """Print one JSON document, on one line."""
    click.echo(msgspec.json.encode(value).decode())


def say_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, numbers to the right; nothing but its titles if there are no rows."""
    found = list(rows)
    lines = [list(titles), *([str(cell) for cell in row] for row in found)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    is_number = [
        bool(found) and all(isinstance(row[place], int) for row in found)
        for place in range(len(titles))
    ]
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_number, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def pairs(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> Mapping[str, str]:
    """Return NAME=VALUE options as a mapping."""
    del context, parameter
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{text!r} is no pair. Say NAME=VALUE.")
        found[name] = value
    return found
