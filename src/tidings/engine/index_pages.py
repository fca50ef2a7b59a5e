"""Index pages as they are stored: each in a blob of its own, or where its rewriting put it."""

import msgspec

from tidings.core.entry import InBlob
from tidings.core.pages import Page, decode_page, split_page
from tidings.core.rewriting import call_own_blob_in_page
from tidings.engine.journal import Missing
from tidings.ports import BlobStore
from tidings.types import TopicPartition

PageKey = tuple[int, InBlob | None]
"""A page's number, and where its document is if it was rewritten."""


def page_blob(number: int) -> str:
    """The name of an index page's blob, as long as it is not rewritten."""
    return f"index/{number}"


class IndexPages:
    """Reads pages."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def page(self, number: int, document: InBlob | None) -> Page | None:
        """Return a page; None if it is not there any more.

        Raises:
            Unavailable: The blob store gave no answer.
            Corrupt: It holds something else than a page.
        """
        data = await self._get(number, document)
        if data is None:
            return None
        page = decode_page(data)
        return call_own_blob_in_page(page, document.name) if document else page

    async def load_parts(self, key: PageKey) -> tuple[dict[TopicPartition, msgspec.Raw], int]:
        """Return a page's sections, as `split_page` does, and their size, as a cache wants it.

        Raises:
            Missing: The page is not there.
            Unavailable, Corrupt: See `page`.
        """
        data = await self._get(*key)
        if data is None:
            raise Missing(f"page {key[0]} is durable, but the blob store does not hold it")
        return split_page(data), len(data)

    async def _get(self, number: int, document: InBlob | None) -> bytes | None:
        if document is None:
            return await self._blobs.get(page_blob(number))
        return await self._blobs.get_range(document.name, document.position, document.size_bytes)
