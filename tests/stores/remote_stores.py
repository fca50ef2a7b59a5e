"""Stores on servers: how tests get a server, and clients of a journal that is new."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random
from typing import TypeVar

import databases

from tidings.errors import Unavailable
from tidings.ports import AppendOutcome, BlobStore, OrderStore, Trimmed, Unsettled
from tidings.stores.etcd import EtcdOrderStore, open_etcd
from tidings.stores.postgres import PostgresStores, open_postgres
from tidings.stores.s3 import open_s3
from tidings.testing.contract.check import Make
from tidings.types import Slot

T = TypeVar("T")

_journal_numbers = count()

PATIENT_S = 20.0
"""The deadline of stores whose server nobody troubles, on a machine that is busy."""


class Ear:
    """What a follower was told."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.entries: list[bytes | None] = []
        self._stirred = asyncio.Event()

    def __call__(self, slot: Slot, entry: bytes | None) -> None:
        """Take a slot that was filled."""
        self.slots.append(slot)
        self.entries.append(entry)
        self._stirred.set()

    async def of(self, slot: int) -> None:
        """Return once it was told of that slot."""
        while slot not in self.slots:
            self._stirred.clear()
            await self._stirred.wait()


def new_journal() -> str:
    """Return the name of a journal that no test of this process has used."""
    return f"journal {next(_journal_numbers)}"


@asynccontextmanager
async def postgres_stores(
    address: str, client_count: int, *, timeout_s: float = PATIENT_S
) -> AsyncIterator[list[PostgresStores]]:
    """Open so many clients of one new journal."""
    journal = new_journal()
    url = databases.postgres_url(address)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                open_postgres(
                    url,
                    Random(f"{journal}/{number}"),
                    journal,
                    order_timeout_s=timeout_s,
                    blob_timeout_s=timeout_s,
                )
            )
            for number in range(client_count)
        ]


def postgres_order(address: str, timeout_s: float = PATIENT_S) -> Make[OrderStore]:
    """Return what makes order stores in PostgreSQL."""

    @asynccontextmanager
    async def make(client_count: int) -> AsyncIterator[Sequence[OrderStore]]:
        async with postgres_stores(address, client_count, timeout_s=timeout_s) as stores:
            yield [each.order for each in stores]

    return make


def postgres_blobs(address: str, timeout_s: float = PATIENT_S) -> Make[BlobStore]:
    """Return what makes blob stores in PostgreSQL."""

    @asynccontextmanager
    async def make(client_count: int) -> AsyncIterator[Sequence[BlobStore]]:
        async with postgres_stores(address, client_count, timeout_s=timeout_s) as stores:
            yield [each.blobs for each in stores]

    return make


@asynccontextmanager
async def etcd_stores(
    url: str, client_count: int, *, timeout_s: float = PATIENT_S
) -> AsyncIterator[list[EtcdOrderStore]]:
    """Open so many clients of one new journal."""
    journal = new_journal()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_etcd(url, journal, timeout_s=timeout_s))
            for _ in range(client_count)
        ]


def etcd_order(url: str, timeout_s: float = PATIENT_S) -> Make[OrderStore]:
    """Return what makes order stores in etcd."""

    @asynccontextmanager
    async def make(client_count: int) -> AsyncIterator[Sequence[OrderStore]]:
        async with etcd_stores(url, client_count, timeout_s=timeout_s) as stores:
            yield stores

    return make


def s3_blobs(url: str, timeout_s: float = PATIENT_S) -> Make[BlobStore]:
    """Return what makes blob stores in S3."""

    @asynccontextmanager
    async def make(client_count: int) -> AsyncIterator[Sequence[BlobStore]]:
        journal = new_journal()
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(open_s3(url, journal, timeout_s=timeout_s))
                for _ in range(client_count)
            ]

    return make


def etcd_url(members: Sequence[databases.Server]) -> str:
    """Return the URL of a cluster."""
    return "etcd://" + ",".join(member.address for member in members)


# Calls in trouble ---------------------------------------------------------------------------------


async def settled(store: OrderStore, slot: Slot, entry: bytes) -> AppendOutcome:
    """Repeat an append until its outcome is known."""
    while isinstance(outcome := await store.append(slot, entry), Unsettled):
        pass
    return outcome


async def answered(store: OrderStore, slot: int) -> AppendOutcome:
    """Repeat an append until its outcome is known, whatever is away meanwhile."""
    while True:
        try:
            return await settled(store, Slot(slot), b"%d" % slot)
        except Unavailable:
            await asyncio.sleep(0.01)


async def read(store: OrderStore) -> list[bytes] | Trimmed:
    """Read all slots, as soon as the store answers."""
    while True:
        try:
            return await store.read(Slot(0), 100)
        except Unavailable:
            # Libraries connect again when they find it fit.
            await asyncio.sleep(0.01)
