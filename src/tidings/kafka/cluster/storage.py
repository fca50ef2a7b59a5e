"""Opens the stores that brokers share, by their URLs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Protocol
from urllib.parse import urlsplit

from tidings.engine.settings import KIB, MIB, Settings
from tidings.errors import InvalidRequest
from tidings.kafka.cluster.identity import Identity, read_or_make_identity
from tidings.ports import BlobStore, OrderStore
from tidings.types import Slot

ETCD = ("etcd", "etcds")
POSTGRES = ("postgres", "postgresql")
OBJECTS = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https")
"""The schemes of URLs."""

ENGINE = Settings(
    linger_s=0.005,
    gossip_interval_s=0.02,
    gossip_blob_bytes_max=1024 * KIB,
    index_entries_max=50_000,
    submission_bytes_max=128 * KIB,
    spill_bytes_max=8 * MIB,
)
"""For stores that a network lies before: they need some milliseconds anyway. etcd keeps what it is
given until it is compacted, some GiB at most; PostgreSQL would write it twice."""


class Heard(Protocol):
    """Takes a slot that was filled, and its entry where that is at hand."""

    def __call__(self, slot: Slot, entry: bytes | None, /) -> None:
        """Take it."""


class FollowedOrderStore(OrderStore, Protocol):
    """An order store that tells of slots when they are filled."""

    async def follow(self, heard: Heard) -> None:
        """Call `heard` of slots, as many as it can, until cancelled."""


@dataclass(frozen=True, slots=True)
class SharedStorage:
    """Stores that other brokers use as well, and what the brokers have in common."""

    order: FollowedOrderStore
    blobs: BlobStore
    identity: Identity
    engine: Settings

    @property
    def cluster_id(self) -> str:
        """See `Storage`."""
        return self.identity.cluster_id


@asynccontextmanager
async def open_shared(order_url: str, blobs_url: str) -> AsyncIterator[SharedStorage]:
    """Open both stores; makes what is not there yet.

    Raises:
        InvalidRequest: A URL means nothing here, or what it needs is not installed.
        Unavailable: A store does not answer, or does not let this broker in.
        Corrupt: A store holds something else than what was put there.
    """
    check_urls(order_url, blobs_url)
    async with AsyncExitStack() as stack:
        order, blobs = await _open(stack, order_url, blobs_url)
        identity = await read_or_make_identity(order, SystemRandom())
        yield SharedStorage(order, blobs, identity, ENGINE)


def check_urls(order_url: str, blobs_url: str) -> None:
    """See that URLs can be those of stores.

    Raises:
        InvalidRequest: They cannot; the text says what to do.
    """
    order, blobs = _scheme(order_url), _scheme(blobs_url)
    if order not in (*ETCD, *POSTGRES):
        raise InvalidRequest(
            f"{order}: is no order store. Say etcd://HOST:PORT,… or postgres://HOST/DATABASE."
        )
    if blobs not in (*OBJECTS, *POSTGRES):
        raise InvalidRequest(
            f"{blobs}: is no blob store. Say s3://BUCKET/PATH, gs://…, az://…"
            " or postgres://HOST/DATABASE."
        )


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        # Without the URL, which may say a password.
        raise InvalidRequest(f"The URL of a store is none: {error}.") from error


async def _open(
    stack: AsyncExitStack, order_url: str, blobs_url: str
) -> tuple[FollowedOrderStore, BlobStore]:
    if urlsplit(order_url).scheme in ETCD:
        order = await _open_etcd(stack, order_url)
        return order, await _open_blobs(stack, blobs_url)
    order, blobs = await _open_postgres(stack, order_url)
    return order, blobs if blobs_url == order_url else await _open_blobs(stack, blobs_url)


async def _open_blobs(stack: AsyncExitStack, url: str) -> BlobStore:
    if urlsplit(url).scheme in POSTGRES:
        _, blobs = await _open_postgres(stack, url)
        return blobs
    try:
        from tidings.stores.s3 import open_s3  # noqa: PLC0415 -- only whoever has it
    except ImportError as error:
        raise _not_installed("s3") from error
    return await stack.enter_async_context(open_s3(url))


async def _open_etcd(stack: AsyncExitStack, url: str) -> FollowedOrderStore:
    try:
        from tidings.stores.etcd import open_etcd  # noqa: PLC0415 -- only whoever has it
    except ImportError as error:
        raise _not_installed("etcd") from error
    return await stack.enter_async_context(open_etcd(url))


async def _open_postgres(stack: AsyncExitStack, url: str) -> tuple[FollowedOrderStore, BlobStore]:
    try:
        from tidings.stores.postgres import open_postgres  # noqa: PLC0415 -- only whoever has it
    except ImportError as error:
        raise _not_installed("postgres") from error
    stores = await stack.enter_async_context(open_postgres(url, Random()))
    return stores.order, stores.blobs


def _not_installed(extra: str) -> InvalidRequest:
    return InvalidRequest(
        f"What this store needs is not installed: pip install 'tidings[{extra}]'."
    )
