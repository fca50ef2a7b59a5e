"""Blobs that were stored of late, by this node or by others that told it: kept whole.

Who reads at a partition's tail wants what has just been stored. What a blob's name means never
changes, so whoever has its bytes need not ask the blob store for them.
"""

from tidings.core.entry import InBlob
from tidings.engine.cache import Cache
from tidings.engine.settings import Settings


class FreshBlobs:
    """The newest blobs, bounded in bytes."""

    def __init__(self, settings: Settings) -> None:
        self._bytes_max = settings.fresh_blob_bytes
        self._blobs: Cache[str, bytes] = Cache(self._bytes_max)

    def hold(self, name: str, data: bytes) -> None:
        """Keep a blob that is stored, unless it is larger than all that may be kept."""
        if len(data) <= self._bytes_max:
            self._blobs.put(name, data, len(data))

    def part(self, where: InBlob) -> bytes | None:
        """Return a part of a blob that is held, else None."""
        data = self._blobs.get(where.name)
        if data is None or where.position + where.size_bytes > len(data):
            return None
        return data[where.position : where.position + where.size_bytes]
