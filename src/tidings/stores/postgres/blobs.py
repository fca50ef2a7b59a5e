"""The blob store in PostgreSQL: each blob is one row.

For teams that have only a database. Everything goes through its log, and so does what is deleted:
an object store is cheaper where there is one.
"""

import zlib
from typing import TypeVar

from tidings.errors import Corrupt, Indeterminate, Unavailable
from tidings.ports import BlobStore
from tidings.stores.postgres.connections import Call, Connections

T = TypeVar("T")

RANGE_BYTES_MAX = 2**30
"""More than any value of PostgreSQL's has."""

_PUT = "INSERT INTO tidings.blob VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_GET = "SELECT data, crc FROM tidings.blob WHERE journal = $1 AND name = $2"
_GET_RANGE = """
SELECT substring(data FROM $3 FOR $4) FROM tidings.blob WHERE journal = $1 AND name = $2
"""
_DELETE = "DELETE FROM tidings.blob WHERE journal = $1 AND name = $2"


class PostgresBlobStore:
    """The blobs of one journal. `tidings.stores.postgres.open_postgres` makes it."""

    can_delete = True

    def __init__(self, connections: Connections, journal: str) -> None:
        """Use the tables, which are there."""
        self._connections = connections
        self._journal = journal

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        crc = zlib.crc32(data)
        await self._ask(lambda session: session.fetch(_PUT, self._journal, name, data, crc))

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        rows = await self._ask(lambda session: session.fetch(_GET, self._journal, name))
        if not rows:
            return None
        data: bytes = rows[0]["data"]
        if zlib.crc32(data) != rows[0]["crc"]:
            raise Corrupt(f"blob {name} is damaged: it fails its checksum")
        return data

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`. The server reads only that part; there is no checksum of it."""
        # PostgreSQL counts bytes from 1.
        place = (min(position, RANGE_BYTES_MAX) + 1, min(size_bytes, RANGE_BYTES_MAX))
        rows = await self._ask(
            lambda session: session.fetch(_GET_RANGE, self._journal, name, *place)
        )
        return rows[0][0] if rows else None

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        await self._ask(lambda session: session.fetch(_DELETE, self._journal, name))

    async def _ask(self, call: Call[T]) -> T:
        """Make a call that may be repeated."""
        try:
            return await self._connections.run(call)
        except Indeterminate as error:
            raise Unavailable(str(error)) from error


_blob_store: type[BlobStore] = PostgresBlobStore
