"""What the stores give without us: how long a write takes that is on disk when it is answered.

Each is asked in its own protocol, over a connection that no broker uses: etcd sets a new key,
PostgreSQL inserts a row, the S3 server puts an object.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import asyncpg
from measures import Figures, latencies

from cluster.stacks import POSTGRES, Stack
from tidings.stores.etcd.address import EtcdAddress
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.messages import TXN, put, transaction
from tidings.stores.s3 import open_s3

SMALL_BYTES = 170
"""A batch with a record of 100 bytes."""

LARGE_BYTES = 100 * 1024

TIMEOUT_S = 10.0

AT_A_TIME = 64

SINGLE = "one batch of 100 B at a time"
LARGE = "one batch of 100 KiB at a time"
MANY = f"order writes/s, {AT_A_TIME} at a time"

_numbers = itertools.count()

Write = Callable[[bytes], Awaitable[object]]
"""Stores bytes under a new name; returns when they are on disk."""


def measure(stack: Stack, urls: tuple[str, str], count: int) -> Figures:
    """Write `count` small things one after the other, some large ones, and many at a time."""
    return asyncio.run(_measure(stack, urls, count))


def writes_per_s(stack: Stack, urls: tuple[str, str], count: int) -> float:
    """Write `count` small things, many at a time."""

    async def write_all() -> float:
        async with _postgres(urls[0]) if stack.order_role == POSTGRES else _etcd(urls[0]) as write:
            return await _many(write, Random(1).randbytes(SMALL_BYTES), count)

    return asyncio.run(write_all())


async def _measure(stack: Stack, urls: tuple[str, str], count: int) -> Figures:
    order, blobs = urls
    rng = Random(1)
    small, large = rng.randbytes(SMALL_BYTES), rng.randbytes(LARGE_BYTES)
    if stack.order_role == POSTGRES:
        async with _postgres(order) as write:
            # A large batch is a row with its bytes, and then one that names it.
            large_s = [
                one + other
                for one, other in zip(
                    await _one_by_one(write, large, count // 4),
                    await _one_by_one(write, small, count // 4),
                    strict=True,
                )
            ]
            return _figures(await _one_by_one(write, small, count), large_s) | {
                MANY: await _many(write, small, count * 8)
            }
    async with _etcd(order) as write, _s3(blobs) as write_blob:
        small_s = await _one_by_one(write, small, count)
        puts_s = await _one_by_one(write_blob, large, count // 4)
        both_s = [one + other for one, other in zip(puts_s, small_s, strict=False)]
        return _figures(small_s, both_s) | {
            MANY: await _many(write, small, count * 8),
            **latencies("S3 put of 100 KiB", puts_s),
            **latencies("S3 put of 170 B", await _one_by_one(write_blob, small, count // 4)),
        }


def _figures(small_s: list[float], large_s: list[float]) -> Figures:
    return latencies(SINGLE, small_s) | latencies(LARGE, large_s)


async def _one_by_one(write: Write, data: bytes, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        await write(data)
        taken.append(time.perf_counter() - started)
    return taken


async def _many(write: Write, data: bytes, count: int) -> float:
    """Return how many writes a second there are with many at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await write(data)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_A_TIME):
            workers.create_task(work())
    return count / (time.perf_counter() - started)


@asynccontextmanager
async def _etcd(url: str) -> AsyncIterator[Write]:
    client = EtcdClient(EtcdAddress.parse(url), timeout_s=TIMEOUT_S)

    def write(data: bytes) -> Awaitable[bytes]:
        key = f"floor/{next(_numbers)}".encode()
        return client.call(TXN, transaction([], [put(key, data)]))

    try:
        yield write
    finally:
        await client.close()


@asynccontextmanager
async def _s3(url: str) -> AsyncIterator[Write]:
    async with open_s3(url, "floor") as store:
        yield lambda data: store.put(str(next(_numbers)), data)


@asynccontextmanager
async def _postgres(url: str) -> AsyncIterator[Write]:
    async with asyncpg.create_pool(url, min_size=AT_A_TIME, max_size=AT_A_TIME) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS floor (id bigint PRIMARY KEY, data bytea)")

        async def write(data: bytes) -> None:
            await pool.execute("INSERT INTO floor VALUES ($1, $2)", next(_numbers), data)

        yield write
