"""What a log stands on that is its whole cluster: stores that nobody else writes to, no peers."""

import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from tidings.engine.settings import Settings
from tidings.ports import BlobStore, OrderStore, Peers
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore

ENGINE = Settings(linger_s=0, index_entries_max=50_000)
"""A publish is a sync of the disk, which is pause enough: while it lasts the next one gathers."""


class Storage(Protocol):
    """Where a broker keeps everything."""

    @property
    def order(self) -> OrderStore:
        """The order store; nobody else writes to it."""

    @property
    def blobs(self) -> BlobStore:
        """The blob store."""

    @property
    def cluster_id(self) -> str:
        """22 characters that no other cluster has."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Storage put together of two stores."""

    order: OrderStore
    blobs: BlobStore
    cluster_id: str


class Alone:
    """The peers of a broker that is its whole cluster: nobody."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id
        self.node_ids = [node_id]

    def send(self, node_id: str, message: bytes) -> None:
        """See `Peers`; it is lost, for there is nobody."""


_alone: type[Peers] = Alone


def new_memory(cluster_id: str | None = None) -> Stores:
    """Return empty storage in memory, of a cluster that nobody else has if none is named."""
    if cluster_id is None:
        cluster_id = base64.urlsafe_b64encode(random.Random().randbytes(16)).decode().rstrip("=")
    return Stores(MemoryOrderStore(is_exclusive=True), MemoryBlobStore(), cluster_id)


@asynccontextmanager
async def in_memory() -> AsyncIterator[Stores]:
    """Have storage in memory, as `open_folder` has it on disk."""
    yield new_memory()
