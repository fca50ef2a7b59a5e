"""What an append costs the engine: single records through `Log.append_all`, stores in memory.

No peers, an exclusive store, no linger: the path of a broker. CPU time is that of the process, so
other load on the machine does not count. Usage: python benchmarks/engine.py [APPENDS]
"""

import asyncio
import random
import sys
import time

from tidings.clock import SystemClock
from tidings.engine.log import Log, NewBatch
from tidings.engine.settings import Settings
from tidings.errors import TidingsError
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.types import TopicPartition

APPENDS = 100_000
CONCURRENCIES = (1, 50, 200)
RECORD = bytes(100)
PARTITIONS = 20


class NoPeers:
    """A node alone."""

    def __init__(self) -> None:
        self.node_id = "n0"
        self.node_ids = ["n0"]

    def send(self, node_id: str, message: bytes) -> None:
        """Nobody is there."""


def make_log() -> Log:
    """Return a log as a broker has it."""
    store = MemoryOrderStore(is_exclusive=True)
    return Log(
        store,
        MemoryBlobStore(),
        peers=NoPeers(),
        clock=SystemClock(),
        rng=random.Random("benchmark"),
        settings=Settings(linger_s=0),
    )


async def client(log: Log, number: int, appends: int) -> None:
    """Append one record after the other."""
    batch = NewBatch(TopicPartition("t", number % PARTITIONS), RECORD)
    for _ in range(appends):
        (result,) = await log.append_all([batch])
        assert not isinstance(result, TidingsError), result


async def measure(concurrency: int, appends: int) -> tuple[float, float]:
    """Return the CPU and wall seconds of so many appends."""
    log = make_log()
    async with asyncio.TaskGroup() as node:
        running = node.create_task(log.run())
        await log.create_topic("t", PARTITIONS)
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as clients:
            for number in range(concurrency):
                clients.create_task(client(log, number, appends // concurrency))
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        running.cancel()
    return cpu_s, wall_s


def main() -> None:
    """Print a line for each concurrency."""
    appends = int(sys.argv[1]) if len(sys.argv) > 1 else APPENDS
    print("in flight   appends   CPU µs each   wall µs each")
    for concurrency in CONCURRENCIES:
        cpu_s, wall_s = asyncio.run(measure(concurrency, appends))
        print(
            f"{concurrency:>9} {appends:>9,} {cpu_s / appends * 1e6:>13.1f} "
            f"{wall_s / appends * 1e6:>14.1f}"
        )


if __name__ == "__main__":
    main()
