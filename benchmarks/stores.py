"""What an append to the stores on disk costs, beside a plain append to a file with fdatasync.

    .venv/bin/python benchmarks/stores.py [FOLDER]

Every way writes the same bytes to the same disk, by turns, one write at a time: a disk that is busy
is busy for all of them. `inline` is one entry in the order store, `blob` a blob and then a small
entry that names it. A second table shows the order store while the event loop is busy.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from statistics import fmean, median, quantiles
from tempfile import TemporaryDirectory

from tidings.ports import Appended
from tidings.stores.folder import Folder, open_folder
from tidings.types import Slot

SIZES = {200: 1600, 16 * 1024: 800, 100 * 1024: 640, 256 * 1024: 320, 1024 * 1024: 160}
"""Bytes of a write, and how many of them each way gets."""

LARGE_BYTES = 4 * 1024 * 1024
LARGE_COUNT = 64
"""Too large for an entry: only a blob takes it."""

TURN = 8
"""Writes in a row before the next way has its turn."""

SMALL_ENTRY = bytes(200)

Way = Callable[[bytes], Awaitable[None]]


class Writer:
    """Fills slot after slot of one folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._slot = 0

    async def inline(self, data: bytes) -> None:
        """Append an entry."""
        assert await self._folder.order.append(Slot(self._slot), data) == Appended()
        self._slot += 1

    async def blob(self, data: bytes) -> None:
        """Put a blob, then append an entry that is small."""
        await self._folder.blobs.put(f"data/{self._slot}", data)
        await self.inline(SMALL_ENTRY)


@contextmanager
def plain_file(path: Path) -> Iterator[Way]:
    """Yield what appends to a file and waits for the disk, with nothing in between."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def append(data: bytes) -> None:
        os.write(file, data)
        os.fdatasync(file)

    yield append
    os.close(file)


async def measure(ways: dict[str, Way], data: bytes, count: int) -> dict[str, list[float]]:
    """Return the seconds of each write, by way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count // TURN):
        for name, way in ways.items():
            for _ in range(TURN):
                started = time.perf_counter()
                await way(data)
                taken[name].append(time.perf_counter() - started)
    return taken


def row(label: str, size_bytes: int, taken: list[float], plain: list[float]) -> str:
    """Return one line of a table."""
    share = fmean(plain) / fmean(taken)
    p50_ms, p99_ms = median(taken) * 1e3, quantiles(taken, n=100)[98] * 1e3
    rate = 1 / fmean(taken)
    latency = f"{size_bytes:>9} {label:>8} {p50_ms:>8.3f} {p99_ms:>8.3f}"
    return f"{latency} {rate:>9.0f} {size_bytes * rate / 1e6:>8.1f} {share:>7.0%}"


async def compare(path: Path) -> None:
    """Print the table of sizes and ways."""
    titles = ("bytes", "way", "p50 ms", "p99 ms", "writes/s", "MB/s", "plain")
    print("{:>9} {:>8} {:>8} {:>8} {:>9} {:>8} {:>7}".format(*titles))
    async with opened(path) as writer:
        with plain_file(path / "plain") as plain:
            ways = {"plain": plain, "inline": writer.inline, "blob": writer.blob}
            for size_bytes, count in SIZES.items():
                await report(ways, size_bytes, count)
            del ways["inline"]
            await report(ways, LARGE_BYTES, LARGE_COUNT)


async def report(ways: dict[str, Way], size_bytes: int, count: int) -> None:
    """Print what each way takes for writes of one size."""
    taken = await measure(ways, Random(size_bytes).randbytes(size_bytes), count)
    for name, seconds in taken.items():
        print(row(name, size_bytes, seconds, taken["plain"]))


BUSY_WORK = 3000
BUSY_COUNT = 300
SWITCH_INTERVALS_S = (0.005, 0.001, 0.0002)


async def compare_busy(path: Path) -> None:
    """Print what appends take while the event loop never rests."""
    print(
        f"\n{'switch interval':>16} {'p50 ms':>8} {'p99 ms':>8}   200 bytes inline, the loop busy"
    )
    async with opened(path) as writer:
        for interval_s in SWITCH_INTERVALS_S:
            sys.setswitchinterval(interval_s)
            async with busy_loop():
                taken = (await measure({"": writer.inline}, SMALL_ENTRY, BUSY_COUNT))[""]
            p99 = quantiles(taken, n=100)[98]
            print(f"{interval_s * 1e3:>13.1f} ms {median(taken) * 1e3:>8.3f} {p99 * 1e3:>8.3f}")


@asynccontextmanager
async def busy_loop() -> AsyncIterator[None]:
    """Keep the event loop busy with small steps."""
    is_over = False

    def step() -> None:
        sum(range(BUSY_WORK))
        if not is_over:
            asyncio.get_running_loop().call_soon(step)

    step()
    yield
    is_over = True


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Writer]:
    """Open a new data folder."""
    with TemporaryDirectory(dir=path) as folder:
        async with open_folder(Path(folder) / "data", Random(1)) as opened_folder:
            yield Writer(opened_folder)


async def main(path: Path) -> None:
    """Print both tables."""
    with TemporaryDirectory(dir=path) as folder:
        await compare(Path(folder))
        await compare_busy(Path(folder))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
