"""Record batches of 100 KiB through the engine on disk, beside a plain append with fdatasync.

    .venv/bin/python benchmarks/large_records.py [FOLDER]

In blobs, as it is, and inline in the journal's entries, as it could be: docs/decisions/0018. All
take turns on the same disk; shares are of what the plain append gives in the same turns.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from tidings.clock import SystemClock
from tidings.engine.log import Log, NewBatch
from tidings.errors import TidingsError
from tidings.kafka.standalone import ENGINE, Alone
from tidings.stores.folder import open_folder
from tidings.stores.sqlite.store import INLINE_BYTES_MAX
from tidings.types import TopicPartition

BATCH = Random(1).randbytes(100 * 1024)
PARTITIONS = 4
IN_FLIGHT = (1, 5, 64)
ROUNDS = 15
BATCHES_A_TURN = 64

KIB = 1024

WAYS = {
    "in blobs": (INLINE_BYTES_MAX, ENGINE.submission_bytes_max),
    "inline, 256 KiB at once": (256 * KIB, 256 * KIB),
    "inline, 900 KiB at once": (256 * KIB, 900 * KIB),
}
"""The largest batch that stays inline, and how many inline bytes make a submission."""

Turn = Callable[[], Awaitable[None]]


async def measure(path: Path, in_flight: int) -> None:
    """Print a line for each way, with so many batches on their way at a time."""
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        turns: dict[str, Turn] = {"plain append": plain(path / "plain")}
        nodes = []
        for name, (inline_bytes_max, submission_bytes_max) in WAYS.items():
            folder = await stack.enter_async_context(open_folder(path / name, Random()))
            folder.order.inline_bytes_max = inline_bytes_max
            log = Log(
                folder.order,
                folder.blobs,
                peers=Alone("n0"),
                clock=SystemClock(),
                rng=Random(),
                settings=replace(ENGINE, submission_bytes_max=submission_bytes_max),
            )
            nodes.append(tasks.create_task(log.run()))
            await log.create_topic("t", PARTITIONS)
            turns[name] = through(log, in_flight)
        taken = await take_turns(turns)
        show(in_flight, taken)
        for node in nodes:
            node.cancel()


def plain(path: Path) -> Turn:
    """Return what appends to a plain file and waits for the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def turn() -> None:
        for _ in range(BATCHES_A_TURN):
            os.write(file, BATCH)
            os.fdatasync(file)

    return turn


def through(log: Log, in_flight: int) -> Turn:
    """Return what appends to a log, so many batches at a time."""

    async def turn() -> None:
        left = iter(range(BATCHES_A_TURN))

        async def client(partition: TopicPartition) -> None:
            for _ in left:
                (outcome,) = await log.append_all([NewBatch(partition, BATCH)])
                assert not isinstance(outcome, TidingsError), outcome

        async with asyncio.TaskGroup() as clients:
            for number in range(in_flight):
                clients.create_task(client(TopicPartition("t", number % PARTITIONS)))

    return turn


async def take_turns(turns: dict[str, Turn]) -> dict[str, list[float]]:
    """Return the seconds of each turn, by way."""
    taken: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS):
        for name, turn in turns.items():
            started = time.perf_counter()
            await turn()
            taken[name].append(time.perf_counter() - started)
    return taken


def show(in_flight: int, taken: dict[str, list[float]]) -> None:
    """Print throughput, all of it and in the median turn, as a share of the plain append."""
    plain_s = taken["plain append"]
    size_mb = BATCHES_A_TURN * ROUNDS * len(BATCH) / 1e6
    for name, seconds in taken.items():
        shares = [before / now for before, now in zip(plain_s, seconds, strict=True)]
        print(
            f"{in_flight:>3} at a time  {name:<24} {size_mb / sum(seconds):>7.1f} MB/s"
            f" {sum(plain_s) / sum(seconds):>6.0%}, median {median(shares):>5.0%}"
        )


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for in_flight in IN_FLIGHT:
        with TemporaryDirectory(dir=folder) as own:
            asyncio.run(measure(Path(own), in_flight))


if __name__ == "__main__":
    main()
