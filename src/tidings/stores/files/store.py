"""The blob store in a folder of files; the files themselves are `tidings.stores.files.blob_files`.

Nothing here decides anything: calls go to a few threads, and the disk's errors become the port's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import BlobStore
from tidings.stores.files.blob_files import BlobFiles
from tidings.stores.threads import Threads

T = TypeVar("T")

WRITER_COUNT = 2
"""Threads that put and delete: while one waits for the disk, the other fills a file."""

READER_COUNT = 2
"""Threads that read, so that no read waits behind a write."""


class FileBlobStore:
    """Blobs in files. Make it in the event loop that uses it."""

    can_delete = True

    def __init__(self, folder: Path) -> None:
        """Open or make the folder; blocks for a moment.

        Who calls sees to it that no other process has it open.

        Raises:
            OSError: It cannot be made, or be used.
        """
        self._files = BlobFiles(folder)
        self._files.prepare()
        self._writers = Threads("blob writer", WRITER_COUNT)
        self._readers = Threads("blob reader", READER_COUNT)

    async def close(self) -> None:
        """Finish what waits; calls from now on are refused."""
        await self._writers.close()
        await self._readers.close()

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        await _answer(self._writers, lambda: self._files.put(name, data))

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        return await _answer(self._readers, lambda: self._files.get(name))

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        return await _answer(
            self._readers, lambda: self._files.get_range(name, position, size_bytes)
        )

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        await _answer(self._writers, lambda: self._files.delete(name))


async def _answer(threads: Threads, function: Callable[[], T]) -> T:
    try:
        return await threads.call(function)
    except (OSError, Indeterminate) as error:
        raise Unavailable(f"the blob folder cannot be used: {error}") from error


_blob_store: type[BlobStore] = FileBlobStore
