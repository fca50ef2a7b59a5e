"""Stores that use threads, in a real event loop."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tidings.ports import BlobStore, OrderStore
from tidings.stores.files import FileBlobStore
from tidings.stores.sqlite import SqliteOrderStore

PATIENCE_S = 60
"""What a test may take at most; nothing is measured with it."""


def run_real(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the loop that production uses."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await main

    asyncio.run(bounded())


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteOrderStore]:
    """Open an order store, and close it again."""
    store = SqliteOrderStore(path)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def sqlite_order(count: int) -> AsyncIterator[Sequence[OrderStore]]:
    """Yield the one client of a new store, so many times."""
    with TemporaryDirectory() as folder:
        async with opened(Path(folder) / "journal.sqlite") as store:
            yield [store] * count


@asynccontextmanager
async def opened_blobs(folder: Path) -> AsyncIterator[FileBlobStore]:
    """Open a blob store, and close it again."""
    store = FileBlobStore(folder)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def file_blobs(count: int) -> AsyncIterator[Sequence[BlobStore]]:
    """Yield the one client of a new store, so many times."""
    with TemporaryDirectory() as folder:
        async with opened_blobs(Path(folder)) as store:
            yield [store] * count
