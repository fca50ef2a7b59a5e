"""Records become lines."""

import base64
from datetime import UTC, datetime

import click

from tidings.cli.address import Address
from tidings.cli.asking import ask, broker_option, json_option, say_json
from tidings.client import admin
from tidings.client.cluster import Cluster
from tidings.client.consuming import Consumed
from tidings.client.consuming import consume as records_of
from tidings.types import Json

COMMIT_EVERY = 1000
"""Records between two commits of a group."""


def _start(context: click.Context, parameter: click.Parameter, text: str) -> int | datetime | str:
    """Return a name, an offset or a time."""
    del context, parameter
    if text in ("beginning", "end"):
        return text
    if text.isdecimal():
        return int(text)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no start. Say beginning, end, an offset, or a time such as "
            "2026-01-31T12:00."
        ) from error


@click.command()
@click.argument("topic")
@click.option("--partition", type=click.IntRange(min=0), help="Only this one; else all.")
@click.option(
    "--from",
    "start",
    default="beginning",
    show_default=True,
    callback=_start,
    help="beginning, end, an offset, or a time (ISO 8601).",
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many records.")
@click.option("-f", "--follow", is_flag=True, help="Wait for more at the end, until Ctrl-C.")
@click.option(
    "--group",
    help="Begin where this group has committed, and commit what was printed. It is not joined: "
    "the broker refuses that to a group that has members.",
)
@click.option("--keys", is_flag=True, help="Print the key and a tab before each value.")
@broker_option
@json_option
def consume(
    *,
    topic: str,
    partition: int | None,
    start: int | datetime | str,
    count: int | None,
    follow: bool,
    group: str | None,
    keys: bool,
    broker: Address,
    as_json: bool,
) -> None:
    """Print the values of the records of TOPIC, one a line, partition by partition in order.

    With --json each line is an object: partition, offset, timestamp in milliseconds, key, value and
    headers. What is no UTF-8 is given as {"base64": …}.
    """

    async def act(cluster: Cluster) -> None:
        leaders = await cluster.leaders(topic)
        if partition is not None:
            if partition not in leaders:
                raise click.ClickException(f"{topic} has no partition {partition}")
            leaders = {partition: leaders[partition]}
        ends = await admin.offsets(cluster, topic, leaders, admin.LATEST)
        positions = await _positions(cluster, topic, leaders, start, ends)
        if group is not None:
            found = await admin.committed(cluster, group, {topic: list(leaders)})
            positions |= {number: offset for (_, number), offset in found.items()}
        begun = dict(positions)
        printed = 0
        try:
            async for record in records_of(
                cluster, topic, leaders, positions, None if follow else ends
            ):
                _print(record, as_json=as_json, keys=keys)
                positions[record.partition] = record.offset + 1
                printed += 1
                if printed == count:
                    break
                if group is not None and printed % COMMIT_EVERY == 0:
                    await admin.commit(cluster, group, topic, positions)
        finally:
            if group is not None and positions != begun:
                await admin.commit(cluster, group, topic, positions)

    ask(broker, act)


async def _positions(
    cluster: Cluster,
    topic: str,
    leaders: dict[int, int],
    start: int | datetime | str,
    ends: dict[int, int],
) -> dict[int, int]:
    """Return the first offset to read of each partition."""
    match start:
        case "end":
            return dict(ends)
        case int():
            return await _at(cluster, topic, leaders, start, ends)
        case datetime():
            time_ms = int(start.timestamp() * 1000)
            found = await admin.offsets(cluster, topic, leaders, time_ms)
            return {n: ends[n] if offset < 0 else offset for n, offset in found.items()}
        case _:
            return await admin.offsets(cluster, topic, leaders, admin.EARLIEST)


async def _at(
    cluster: Cluster, topic: str, leaders: dict[int, int], offset: int, ends: dict[int, int]
) -> dict[int, int]:
    """Return an offset if it is one of the only partition that is read."""
    if len(leaders) > 1:
        raise click.ClickException(
            f"{topic} has {len(leaders)} partitions: say --partition with an offset"
        )
    starts = await admin.offsets(cluster, topic, leaders, admin.EARLIEST)
    for number, first in starts.items():
        if not first <= offset <= ends[number]:
            raise click.ClickException(
                f"partition {number} of {topic} has the offsets from {first} to below "
                f"{ends[number]}, not {offset}"
            )
    return dict.fromkeys(leaders, offset)


def _print(record: Consumed, *, as_json: bool, keys: bool) -> None:
    fields = record.fields
    if as_json:
        say_json(
            {
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": fields.timestamp_ms,
                "key": _json(fields.key),
                "value": _json(fields.value),
                "headers": [[name, _json(value)] for name, value in fields.headers],
            }
        )
        return
    line = fields.value or b""
    click.echo((fields.key or b"") + b"\t" + line if keys else line)


def _json(content: bytes | None) -> Json:
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
