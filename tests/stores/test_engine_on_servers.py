"""The engine on stores on servers: nodes that know of each other only through them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import databases
import pytest
import uvloop
from obtaining import obtained
from remote_stores import etcd_url, new_journal

from tidings.clock import SystemClock
from tidings.core.pages import PageFormat
from tidings.engine.journal import Journal
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.ports import BlobStore, Trimmed
from tidings.stores.etcd import EtcdOrderStore, open_etcd
from tidings.stores.postgres import PostgresOrderStore, open_postgres
from tidings.stores.s3 import open_s3
from tidings.types import Offset, Slot, TopicPartition

pytestmark = pytest.mark.real

NEWS = TopicPartition("news", 0)
SMALL_PAGES = PageFormat(10, 1000, 10**6, has_segments=True)
SETTINGS = Settings(
    linger_s=0,
    gossip=False,
    checkpoint_pages=1,
    index_entries_max=0,
    entry_cache_bytes=1,
    page_cache_bytes=1,
    anti_entropy_s=0.05,
    anti_entropy_idle_s=0.05,
    retry_max_s=0.1,
)
TIMEOUT_S = 2.0
RECORDS = 60
"""What each node appends; every tenth is too large for an entry."""

LARGE_BYTES = 100_000

PATIENCE_S = 120
"""What the test may take at most; nothing is measured with it."""


class Alone:
    """The peers of a node that talks to nobody."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.node_ids = [node_id]

    def send(self, node_id: str, message: bytes) -> None:
        """Nobody is there."""


Stores = tuple[PostgresOrderStore | EtcdOrderStore, BlobStore]


@dataclass(frozen=True, slots=True)
class Below:
    """What the stores of a cluster stand on."""

    servers: list[databases.Server]
    open: Callable[[str], AbstractAsyncContextManager[Stores]]
    """Opens the stores of a journal, as one node does."""


@pytest.fixture(params=["postgres", "etcd and s3"])
def below(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Below]:
    if request.param == "postgres":
        with obtained(databases.postgres) as server:
            yield Below([server], partial(on_postgres, server))
    else:
        for name, value in databases.S3_ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        with obtained(databases.etcd) as order, obtained(databases.s3) as blobs:
            yield Below([order, blobs], partial(on_etcd_and_s3, order, blobs))


@asynccontextmanager
async def on_postgres(server: databases.Server, journal: str) -> AsyncIterator[Stores]:
    url = databases.postgres_url(server.address)
    timeouts = {"order_timeout_s": TIMEOUT_S, "blob_timeout_s": TIMEOUT_S}
    async with open_postgres(url, Random(), journal, **timeouts) as stores:
        yield stores.order, stores.blobs


@asynccontextmanager
async def on_etcd_and_s3(
    order: databases.Server, blobs: databases.Server, journal: str
) -> AsyncIterator[Stores]:
    async with (
        open_etcd(etcd_url([order]), journal, timeout_s=TIMEOUT_S) as order_store,
        open_s3(databases.s3_url(blobs.address), journal, timeout_s=TIMEOUT_S) as blob_store,
    ):
        yield order_store, blob_store


@asynccontextmanager
async def node(
    below: Below, journal: str, name: str, settings: Settings = SETTINGS
) -> AsyncIterator[Log]:
    """Run a node of a cluster, which hears of new slots from its order store."""
    async with below.open(journal) as (order, blobs), asyncio.TaskGroup() as tasks:
        log = Log(
            order,
            blobs,
            peers=Alone(name),
            clock=SystemClock(),
            rng=Random(),
            settings=settings,
            journal=journal,
            page_format=SMALL_PAGES,
        )
        running = [
            tasks.create_task(log.run()),
            tasks.create_task(order.follow(partial(hear, log.journal))),
        ]
        yield log
        for task in running:
            task.cancel()


def hear(journal: Journal, slot: Slot, entry: bytes | None) -> None:
    """Learn what a store tells."""
    if entry is None:
        journal.note_filled(slot, urgent=True)
    else:
        journal.learn(slot, [entry])


HOUR_S = 3600.0


def test_engine_hears_of_records_from_the_store_without_asking(below: Below) -> None:
    async def main() -> None:
        # Neither node asks by itself whether there is something new.
        quiet = replace(SETTINGS, anti_entropy_s=HOUR_S, anti_entropy_idle_s=HOUR_S)
        journal = new_journal()
        async with (
            asyncio.timeout(PATIENCE_S),
            node(below, journal, "n0", quiet) as first,
            node(below, journal, "n1", quiet) as second,
        ):
            for writer, reader in ((first, second), (second, first)):
                with reader.watch([NEWS]) as watch:
                    offset = await writer.append(NEWS, b"news", create_topic=True)
                    while await reader.known_end_offset(NEWS) <= offset:
                        await watch.wait()

    uvloop.run(main())


def record(name: str, number: int) -> bytes:
    return f"{name} {number} ".encode().ljust(LARGE_BYTES if number % 10 == 0 else 1, b".")


async def append_all(log: Log, name: str) -> None:
    for number in range(RECORDS):
        while True:
            # What was not done is asked for again; what is uncertain is waited for.
            with contextlib.suppress(Unavailable):
                await log.append(NEWS, record(name, number), create_topic=True)
                break


async def read_all(log: Log) -> list[bytes]:
    await log.barrier()
    found: list[bytes] = []
    while batches := await log.fetch(NEWS, Offset(len(found)), 10**6):
        found += [batch.data for batch in batches]
    return found


async def trouble(servers: list[databases.Server], log: Log) -> None:
    """Kill each server in the middle, and start it again."""
    for place, server in enumerate(servers, 1):
        with log.watch([NEWS]) as watch:
            while await log.known_end_offset(NEWS) < place * RECORDS // 2:
                await watch.wait()
        server.kill()
        await asyncio.get_running_loop().run_in_executor(None, server.start)


def test_engine_on_servers_that_are_killed_loses_doubles_and_reorders_nothing(below: Below) -> None:
    async def main() -> None:
        journal = new_journal()
        async with asyncio.timeout(PATIENCE_S):
            await check(journal)

    async def check(journal: str) -> None:
        async with node(below, journal, "n0") as first, node(below, journal, "n1") as second:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(append_all(first, "a"))
                tasks.create_task(append_all(second, "b"))
                tasks.create_task(trouble(below.servers, first))
            records = await read_all(first)
            assert await read_all(second) == records
            for name in ("a", "b"):
                own = [each for each in records if each.startswith(name.encode())]
                assert own == [record(name, number) for number in range(RECORDS)]
            assert len(records) == 2 * RECORDS
            await until_trimmed(first)
        async with node(below, journal, "n2") as late:
            assert await read_all(late) == records

    uvloop.run(main())


async def until_trimmed(log: Log) -> None:
    """Wait until upkeep has let go of the first slots."""
    while await log.journal.store.read(Slot(0), 1) != Trimmed():  # noqa: ASYNC110 -- none tells
        await asyncio.sleep(0.01)
