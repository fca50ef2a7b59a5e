"""Blobs that were stored of late: read from memory, here and where they are sent; bounded."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from lone_node import A, Mailbox, WatchedBlobs, WatchedOrder, make_log, running

from tidings.core.entry import InBlob
from tidings.engine.fresh_blobs import FreshBlobs
from tidings.engine.gossip import Blob, Message
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset

LARGE = b"large enough for a blob"
TELLING = Settings(gossip_blob_bytes_max=len(LARGE))
NAMES = ("n0", "n1")


class CountingBlobs(WatchedBlobs):
    """Counts what is asked of it."""

    gets = 0

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        self.gets += 1
        return await super().get_range(name, position, size_bytes)


async def publish_large(settings: Settings, other: Settings) -> tuple[int, int]:
    """Append a large batch at one node and read it at both; return the gets of each."""
    inner = MemoryOrderStore(inline_bytes_max=3)
    orders = [WatchedOrder(inner), WatchedOrder(inner)]
    blobs = [CountingBlobs(order) for order in orders]
    blobs[1]._blobs = blobs[0]._blobs
    mail = [Mailbox(name, NAMES) for name in NAMES]
    logs = [
        make_log(orders[life], blobs[life], peers=mail[life], life=life, settings=each)
        for life, each in enumerate((settings, other))
    ]
    async with running(*logs):
        await logs[0].append(A, LARGE, create_topic=True)
        for _, message in mail[0].sent:
            logs[1].handle_message("n0", message)
        for log in logs:
            await log.journal.barrier()
            assert await read_one(log) == LARGE
    return blobs[0].gets, blobs[1].gets


async def read_one(log: Log) -> bytes:
    (batch,) = await log.fetch(A, Offset(0), 100)
    return batch.data


@pytest.mark.parametrize(
    ("settings", "other", "gets"),
    [
        (TELLING, TELLING, (0, 0)),
        (replace(TELLING, gossip_blob_bytes_max=len(LARGE) - 1), TELLING, (0, 1)),
        (replace(TELLING, gossip=False), TELLING, (0, 1)),
        (Settings(), Settings(), (0, 1)),
        (replace(TELLING, fresh_blob_bytes=len(LARGE) - 1), TELLING, (1, 0)),
        (TELLING, replace(TELLING, fresh_blob_bytes=len(LARGE) - 1), (0, 1)),
    ],
    ids=["told", "too large to tell", "no gossip", "defaults", "not kept here", "not kept there"],
)
def test_large_batch_is_read_from_memory_by_who_stored_it_and_by_who_was_told(
    settings: Settings, other: Settings, gets: tuple[int, int]
) -> None:
    assert run(publish_large(settings, other)) == gets


def test_blob_is_told_once_it_is_stored_and_only_to_others() -> None:
    async def main() -> None:
        order = WatchedOrder(inline_bytes_max=3)
        blobs = WatchedBlobs(order)
        mail = Mailbox("n0", ("n0", "n1", "n2"))
        log = make_log(order, blobs, peers=mail, settings=TELLING)
        async with running(log), asyncio.TaskGroup() as tasks:
            blobs.lost_puts = 1
            append = tasks.create_task(log.append(A, LARGE, create_topic=True))
            await asyncio.sleep(0.01)
            assert mail.sent == []
            await append
            messages = [
                (name, msgspec.msgpack.decode(data, type=Message)) for name, data in mail.sent
            ]
            told = {name: each for name, each in messages if isinstance(each, Blob)}
            assert list(told) == ["n1", "n2"]
            for blob in told.values():
                assert (blob.name, blob.data) == (blobs.names()[0], LARGE)

    run(main())


def test_newest_blobs_are_kept_up_to_the_bound() -> None:
    fresh = FreshBlobs(Settings(fresh_blob_bytes=10))
    for name in ("a", "b", "c"):
        fresh.hold(name, name.encode() * 5)
    fresh.hold("too large", bytes(11))
    kept = {name: fresh.part(InBlob(name, 1, 3)) for name in ("a", "b", "c", "too large")}
    assert kept == {"a": None, "b": b"bbb", "c": b"ccc", "too large": None}


def test_part_that_a_blob_does_not_have_is_left_to_the_store() -> None:
    fresh = FreshBlobs(Settings())
    fresh.hold("a", b"12345")
    assert fresh.part(InBlob("a", 3, 3)) is None
