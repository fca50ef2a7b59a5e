"""What grows: small batches without end through the engine, on SQLite and a blob folder.

    .venv/bin/python benchmarks/growth.py --batches 10000000 --data FOLDER

Every batch is an append of its own. Most go to topic `short`, which keeps --retention-bytes in each
partition; one in --kept-every, if that is not 0, goes to topic `kept`, which keeps all it ever got.
At 10 %, 50 % and 100 % of the run the process that writes ends, and a new one opens the folder.
Nothing waits for a quiet moment: what is let go of is what upkeep, retention and the collector get
done beside the appends.

`retained` is what may be read, `disk` what the folder takes. `restart` is the time from an open
folder to a journal that is folded to its end, in a new process, and the CPU time of that process.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tidings.clock import SystemClock
from tidings.core.state import State
from tidings.engine.log import Log, NewBatch
from tidings.errors import TidingsError
from tidings.kafka.standalone import ENGINE, Alone
from tidings.stores.folder import open_folder
from tidings.types import TopicPartition

SHARES = (0.1, 0.5, 1.0)
"""Where the run is looked at."""

RETENTION_INTERVAL_S = 2.0
"""A broker looks every five minutes by default, and runs for months."""

SETTLE_S = 12.0
"""After the last append upkeep goes on so long: two of the collector's intervals, and some."""

MIB = 1024 * 1024

Figures = dict[str, float]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Log]:
    """Have a log on a data folder, as a broker has it; it has recovered."""
    settings = replace(ENGINE, retention_interval_s=RETENTION_INTERVAL_S)
    async with open_folder(folder, random.Random()) as stores, asyncio.TaskGroup() as tasks:
        log = Log(
            stores.order,
            stores.blobs,
            peers=Alone("n0"),
            clock=SystemClock(),
            rng=random.Random(),
            settings=settings,
        )
        running = tasks.create_task(log.run())
        await log.journal.recovered.wait()
        yield log
        running.cancel()


async def write(options: argparse.Namespace) -> Figures:
    """Append what this part of the run appends; return what the process is like then."""
    value = random.Random(options.bytes).randbytes(options.bytes)
    numbers = iter(range(options.first, options.end))

    async def client(log: Log) -> None:
        for number in numbers:
            (outcome,) = await log.append_all([NewBatch(partition_of(number, options), value)])
            assert not isinstance(outcome, TidingsError), outcome

    async with opened(options.data) as log:
        if options.first == 0:
            await create_topics(log, options)
        started, cpu_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as clients:
            for _ in range(options.in_flight):
                clients.create_task(client(log))
        taken, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
        await asyncio.sleep(SETTLE_S)
        return {
            "appends_per_s": (options.end - options.first) / taken,
            "cpu_us": cpu_s / (options.end - options.first) * 1e6,
            "resident_mib": resident_mib(),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "index_entries": log.state.index_size,
            "pages": log.state.open_page,
            "live_pages": len(log.state.collection.live_sections),
            "retained_mib": retained_bytes(log.state) / MIB,
        }


def partition_of(number: int, options: argparse.Namespace) -> TopicPartition:
    """Return where a batch goes."""
    if options.kept_every and number % options.kept_every == 0:
        return TopicPartition("kept", number // options.kept_every % options.partitions)
    return TopicPartition("short", number % options.partitions)


async def create_topics(log: Log, options: argparse.Namespace) -> None:
    """Make the topic that lets go, and the one that does not."""
    retention = {"retention.bytes": str(options.retention_bytes)}
    await log.create_topic("short", options.partitions, configs=retention)
    await log.create_topic("kept", options.partitions)


def retained_bytes(state: State) -> int:
    """Return the record bytes that may be read."""
    return sum(partition.size_bytes for partition in state.partitions.values())


async def restart(options: argparse.Namespace) -> Figures:
    """Open the folder and read the oldest batch of every partition."""
    started, cpu_s = time.perf_counter(), time.process_time()
    async with opened(options.data) as log:
        figures: Figures = {
            "restart_s": time.perf_counter() - started,
            "restart_cpu_s": time.process_time() - cpu_s,
            "restart_mib": resident_mib(),
            "restart_index_entries": log.state.index_size,
        }
        for name in list(log.state.partitions):
            start = log.state.log_start_offset(name)
            (batch, *_) = await log.fetch(name, start, size_bytes_max=1)
            assert batch.base_offset <= start <= batch.last_offset, f"{name} does not begin"
        return figures


def resident_mib() -> float:
    """Return the memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def disk_mib(folder: Path) -> dict[str, float]:
    """Return what the folder takes of the disk: the journal's file, and the blobs."""
    blocks = {"journal": 0, "blobs": 0}
    for parent, _, names in os.walk(folder):
        kind = "blobs" if "blobs" in Path(parent).relative_to(folder).parts else "journal"
        blocks[kind] += sum(os.stat(Path(parent, name)).st_blocks for name in names)  # noqa: PTH116 -- many files
    return {kind: 512 * count / MIB for kind, count in blocks.items()}


# The run ----------------------------------------------------------------------------------------

COLUMNS = {
    "batches": "{batches:,.0f}",
    "appends/s": "{appends_per_s:,.0f}",
    "CPU µs each": "{cpu_us:.0f}",
    "retained MiB": "{retained_mib:,.0f}",
    "disk MiB: journal": "{journal:,.0f}",
    "blobs": "{blobs:,.0f}",
    "pages live of all": "{live_pages:,.0f} of {pages:,.0f}",
    "index entries": "{index_entries:,.0f}",
    "resident MiB": "{resident_mib:,.0f}",
    "peak": "{peak_mib:,.0f}",
    "restart s": "{restart_s:.2f}",
    "CPU s": "{restart_cpu_s:.2f}",
    "MiB": "{restart_mib:,.0f}",
    "its index entries": "{restart_index_entries:,.0f}",
}


def rows(options: argparse.Namespace) -> Iterator[str]:
    """Do the run; yield the lines of a table."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * len(COLUMNS)}"
    first = 0
    for share in SHARES:
        end = int(options.batches * share)
        figures: Figures = {"batches": end}
        figures |= in_process(options, "write", first, end)
        figures |= disk_mib(options.data)
        figures |= in_process(options, "restart")
        yield f"| {' | '.join(cell.format(**figures) for cell in COLUMNS.values())} |"
        first = end


def in_process(options: argparse.Namespace, part: str, first: int = 0, end: int = 0) -> Figures:
    """Do a part of the run in a process of its own; return what it tells."""
    passed = ("data", "in_flight", "partitions", "bytes", "retention_bytes", "kept_every")
    words = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in passed]
    command = [sys.executable, __file__, f"--part={part}", f"--first={first}", f"--end={end}"]
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=True)
    told: Figures = json.loads(done.stdout)
    return told


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=200_000, help="appends in all")
    parser.add_argument("--in-flight", type=int, default=200, help="appends at a time")
    parser.add_argument("--partitions", type=int, default=10, help="of each of the two topics")
    parser.add_argument("--bytes", type=int, default=100, help="of each batch")
    parser.add_argument("--retention-bytes", type=int, default=MIB, help="of a partition of short")
    parser.add_argument("--kept-every", type=int, default=100, help="of so many, one is kept")
    parser.add_argument("--data", type=Path, help="a new folder; one that is removed if not given")
    parser.add_argument("--part", choices=("write", "restart"), help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--end", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Do the run, or one part of it."""
    options = arguments()
    if options.part:
        work = write if options.part == "write" else restart
        print(json.dumps(asyncio.run(work(options))))
        return
    with TemporaryDirectory(prefix="growth-", dir=".") as own:
        options.data = options.data or Path(own) / "data"
        for line in rows(options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
