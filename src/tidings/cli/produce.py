"""Lines become records."""

import sys
from collections.abc import Iterator, Mapping
from io import BufferedReader

import click

from tidings.cli.address import Address
from tidings.cli.asking import ask, broker_option, pairs
from tidings.client.cluster import Cluster
from tidings.client.producing import Producer
from tidings.clock import SystemClock
from tidings.kafka.record_batch import Compression
from tidings.kafka.records import RecordFields

CHUNK_BYTES = 256 * 1024
"""What is read at a time, and sent together, …"""

RECORDS_MAX = 10_000
"""… unless it is more records: each takes some bytes more, and a batch has to stay below 1 MiB."""

LINE_BYTES_MAX = 16 * 1024 * 1024
"""The longest line; brokers take shorter ones, unless they are told otherwise."""


@click.command()
@click.argument("topic")
@click.option(
    "--file",
    "source",
    type=click.File("rb"),
    default="-",
    show_default="standard input",
    help="Where the lines are.",
)
@click.option("--key", help="The key of all records.")
@click.option("--key-separator", metavar="TEXT", help="Ends the key at the beginning of each line.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Repeat it."
)
@click.option(
    "--compression",
    type=click.Choice([one.name.lower() for one in Compression]),
    default="none",
    show_default=True,
)
@broker_option
def produce(
    *,
    topic: str,
    source: BufferedReader,
    key: str | None,
    key_separator: str | None,
    headers: Mapping[str, str],
    compression: str,
    broker: Address,
) -> None:
    """Produce each line of standard input, or of a file, as a record of TOPIC.

    A topic that does not exist is created if the broker does that. Nothing is sent twice: if it
    fails, the error says how many records were acknowledged before.
    """
    told = [(name, value.encode()) for name, value in headers.items()]
    separator = key_separator.encode() if key_separator else None
    clock = SystemClock()

    def record_of(line: bytes) -> RecordFields:
        own_key = None if key is None else key.encode()
        if separator is not None:
            own_key, sign, line = line.partition(separator)
            if not sign:
                raise click.ClickException(f"there is no {key_separator!r} in {own_key[:80]!r}")
        return RecordFields(clock.now_ms(), own_key, line, told)

    async def act(cluster: Cluster) -> None:
        leaders = await cluster.leaders(topic, creates=True)
        producer = Producer(cluster, topic, leaders, Compression[compression.upper()])
        count = 0
        try:
            for lines in _gathered(source):
                await producer.send([record_of(line) for line in lines])
                count += len(lines)
                _show(f"{count:,} records")
        finally:
            _show("")
            click.echo(f"{count} records acknowledged", err=True)

    ask(broker, act)


def _gathered(source: BufferedReader) -> Iterator[list[bytes]]:
    """Yield the lines that are there, without waiting for more than one of them."""
    rest = b""
    while chunk := source.read1(CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise click.ClickException(f"a line has more than {LINE_BYTES_MAX} bytes")
        for start in range(0, len(lines), RECORDS_MAX):
            yield lines[start : start + RECORDS_MAX]
    if rest:
        yield [rest]


def _show(text: str) -> None:
    """Show how far it is: on a terminal, in one line."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
