"""The rewriter: lets go of what pages hold besides the few sections that live on.

It copies what is needed, has the journal say that a page is another document from now on, and
deletes what the page needed before. If it dies on the way, the blob that it stored is an orphan
like any other, and what is left to delete the state remembers.

    V5  a former blob of a page is deleted only once the journal says that it is rewritten.
"""

import asyncio
import logging

from tidings.core.entry import ForgetFormerBlobs, InBlob, Inline, Operation, RewritePage
from tidings.core.pages import encode_page
from tidings.core.results import Done
from tidings.core.rewriting import Rewriting, rewrite, unreleased_sections
from tidings.engine.index_pages import page_blob
from tidings.engine.journal import Journal
from tidings.engine.lane import Lane
from tidings.engine.reader import Reader
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.ports import BlobStore

log = logging.getLogger(__name__)


class Rewriter:
    """The rewriting that falls to this node."""

    def __init__(
        self, journal: Journal, reader: Reader, blobs: BlobStore, lane: Lane, settings: Settings
    ) -> None:
        """Build it; `lane` is one that nobody else uses."""
        self._journal = journal
        self._reader = reader
        self._blobs = blobs
        self._lane = lane
        self._settings = settings

    async def rewrite(self) -> None:
        """Rewrite some of the pages that are worth it.

        Raises:
            Missing: Another node has rewritten or deleted one of them meanwhile.
            Unavailable, Indeterminate, Corrupt: See `Lane.see_through` and `Reader.fetch`.
        """
        for number in self._worthwhile():
            document = self._journal.state.collection.rewritten.get(number)
            rewriting = await self._plan(number, document)
            if rewriting is not None:
                await self._rewrite(number, document, rewriting)

    def _worthwhile(self) -> list[int]:
        """Return durable pages that hold much, and mostly what is dead."""
        state = self._journal.state
        worthwhile = [
            number
            for number, size in state.collection.sizes.items()
            if number < state.durable_pages
            and size.live <= self._settings.rewrite_live_share * size.stored
            and size.stored - size.live >= self._settings.rewrite_dead_bytes_min
        ]
        unswept = dict.fromkeys(state.collection.unswept)
        return [number for number in worthwhile if number not in unswept][
            : self._settings.rewrite_pages_max
        ]

    async def _plan(self, number: int, document: InBlob | None) -> Rewriting | None:
        """Return what a page becomes; None if it was deleted or rewritten meanwhile."""
        page = await self._reader.page(number)
        collection = self._journal.state.collection
        if (
            page is None
            or number not in collection.live_sections
            or collection.rewritten.get(number) != document
        ):
            return None
        kept = unreleased_sections(self._journal.state, page)
        own_name = document.name if document else page_blob(number)
        return rewrite(
            page,
            kept,
            own_name,
            live_share=self._settings.rewrite_live_share,
            copied_bytes_max=self._settings.rewrite_copied_bytes_max,
        )

    async def _rewrite(self, number: int, document: InBlob | None, rewriting: Rewriting) -> None:
        copied = b"".join(await self._reader.load(rewriting.moved))
        blob = Inline(copied + encode_page(rewriting.page))
        operation = RewritePage(number, document, blob, len(copied), rewriting.stored_bytes)
        (result,) = await self._lane.see_through([operation])
        if not isinstance(result, Done):
            raise Unavailable(f"page {number} was not rewritten: {result}")
        if result.changed:
            log.info("page %d was rewritten, with %d batches copied", number, len(rewriting.moved))

    async def sweep(self) -> list[Operation]:
        """Delete some blobs that rewritten pages do not need; return what has them forgotten.

        Raises:
            Unavailable, Corrupt: A store gave no answer, or a wrong one.
        """
        collection = self._journal.state.collection
        unswept = {
            number: collection.rewritten[number].name
            for number in collection.unswept[: self._settings.collect_pages_max]
        }
        swept: dict[int, str] = {}
        for number, name in unswept.items():
            page = await self._reader.page(number)
            rewritten = self._journal.state.collection.rewritten.get(number)
            # Otherwise another node did it meanwhile.
            if page is not None and rewritten is not None and rewritten.name == name:
                for former in page.former:
                    await self._blobs.delete(former)
                swept[number] = name
            # All may be quick: others have their turn.
            await asyncio.sleep(0)
        return [ForgetFormerBlobs(swept)] if swept else []
