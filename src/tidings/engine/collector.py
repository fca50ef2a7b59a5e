"""The collector: deletes blobs that nobody will read any more.

It walks each partition from where the last release ended to where its dead sections end, and says
so in the journal; then it deletes the blobs of the pages that are dead, and says that as well. Any
node may do it, also several at once; a step that was done already changes nothing.

    V1  blobs are deleted only of pages that this node's state calls dead and durable;
    V2  a page's own blob is deleted last, for it names the data blobs that go with it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from tidings.core.entry import ForgetPages, Operation, ReleaseSections
from tidings.core.pages import Spine, covers, stored_size
from tidings.core.results import Done
from tidings.core.segments import segment_blob
from tidings.engine.index_pages import page_blob
from tidings.engine.journal import Journal, Missing
from tidings.engine.orphans import Orphans
from tidings.engine.preference import Preference
from tidings.engine.reader import Reader
from tidings.engine.rewriter import Rewriter
from tidings.engine.rounds import Rounds
from tidings.engine.settings import Settings
from tidings.engine.submitter import Submitter
from tidings.errors import TidingsError
from tidings.ports import BlobStore
from tidings.types import Offset, TopicPartition

log = logging.getLogger(__name__)

WALK_SECTIONS_MAX = 16
"""Sections of one partition that are released before the next partition has its turn. Partitions
that share pages walk them together so, while the pages are in the cache."""

_Walk = tuple[ReleaseSections, Spine]
"""What to release, if the sections from `from_offset` to `to_offset` are found in this spine."""


class Collector:
    """The collecting that falls to this node: all of it, while it is the preferred publisher."""

    def __init__(
        self,
        journal: Journal,
        reader: Reader,
        blobs: BlobStore,
        orphans: Orphans,
        rewriter: Rewriter,
        *,
        submitter: Submitter,
        preference: Preference,
        settings: Settings,
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._blobs = blobs
        self._submitter = submitter
        self._preference = preference
        self._settings = settings
        self._rounds: Rounds[TopicPartition] = Rounds(settings.collect_partitions_max)
        self._orphans = orphans
        self._rewriter = rewriter
        # Whether the last release left sections that it would have come to.
        self._is_cut_short = False

    async def run(self) -> None:
        """Collect at intervals, or without a pause while appends are faster, until cancelled."""
        await self._journal.recovered.wait()
        is_behind = False
        while self._journal.state.page_format.has_segments:
            if not is_behind:
                await asyncio.sleep(self._settings.collect_interval_s)
            is_behind = False
            if not self._preference.is_own:
                continue
            try:
                is_behind = await self._tick()
            except TidingsError as error:
                log.warning("what was collected is not told: %s", error)

    async def _tick(self) -> bool:
        """Collect some of everything; return whether there are certainly more sections to release.

        It is told in one entry, if that has room, for entries make pages to collect. They have no
        sections, so that whoever goes on at once comes to an end.
        """
        self._is_cut_short = False
        released = await _try(self._release)
        done = [
            *released,
            *await _try(self._delete),
            *await _try(self._orphans.collect),
            *await _try(self._rewriter.sweep),
        ]
        await _try(self._rewriter.rewrite)
        if not done:
            return False
        results = await self._submitter.submit_in_parts(done)
        has_moved = any(
            isinstance(each, Done) and each.changed for each in results[: len(released)]
        )
        return self._is_cut_short and has_moved

    async def _release(self) -> list[Operation]:
        """Return what releases some dead sections."""
        operations: list[Operation] = []
        sections_left = self._settings.collect_sections_max
        for walk in self._walks():
            sections_max = min(WALK_SECTIONS_MAX, sections_left)
            found = await self._walk(*walk, sections_max)
            if found is not None:
                operations.append(found)
                sections_left -= len(found.pages)
            self._is_cut_short |= len(found.pages if found else ()) == sections_max
            # All may have been in the cache: others have their turn.
            await asyncio.sleep(0)
        return operations

    def _walks(self) -> list[_Walk]:
        """Return where there are dead sections, of some partitions and some deleted ones."""
        state = self._journal.state
        walks: list[_Walk] = []
        for name in self._rounds.take(list(state.partitions)):
            part = state.partitions[name]
            if part.collected_offset < part.dead_offset:
                topic_id = state.topics[name.topic].topic_id
                release = ReleaseSections(
                    name, topic_id, -1, part.collected_offset, part.dead_offset, []
                )
                walks.append((release, part.spine))
        for number in list(state.collection.condemned)[: self._settings.collect_partitions_max]:
            gone = state.collection.condemned[number]
            release = ReleaseSections(
                gone.name, b"", number, gone.collected_offset, gone.sealed_offset, []
            )
            walks.append((release, gone.spine))
        return walks

    async def _walk(
        self, wanted: ReleaseSections, spine: Spine, sections_max: int
    ) -> ReleaseSections | None:
        """Return what can be released of what is wanted, looking at so many sections."""
        offset, pages, sizes = wanted.from_offset, list[int](), list[int]()
        while len(pages) < sections_max and offset < wanted.to_offset:
            found = await self._reader.find_section(wanted.partition, spine, covers(offset))
            assert found is not None, f"S1: offset {offset} of {wanted} is in no page of {spine}"
            page, section = found
            end = Offset(section.entries[-1].last_offset + 1)
            if end > wanted.to_offset:
                break
            pages.append(page)
            sizes.append(stored_size(section.entries))
            offset = end
        if not pages:
            return None
        return replace(wanted, to_offset=offset, pages=pages, sizes=sizes)

    async def _delete(self) -> list[Operation]:
        """Delete the blobs of some dead pages; return what has the pages forgotten."""
        state = self._journal.state
        dead = [page for page in state.collection.dead_pages if page < state.durable_pages]
        dead = dead[: self._settings.collect_pages_max]
        for page in dead:
            await self._delete_page(page)
        return [ForgetPages(dead)] if dead else []

    async def _delete_page(self, number: int) -> None:
        assert number not in self._journal.state.collection.live_sections, f"V1: {number} is alive"
        document = self._journal.state.collection.rewritten.get(number)
        own_name = document.name if document else page_blob(number)
        page = await self._reader.page(number)
        for name in (*page.blobs, *page.former) if page is not None else ():
            if name != own_name:
                await self._blobs.delete(name)
        await self._blobs.delete(segment_blob(number))
        await self._blobs.delete(own_name)


async def _try(collect: Callable[[], Awaitable[list[Operation] | None]]) -> list[Operation]:
    """Do a part of the collecting, or leave it to the next time."""
    try:
        return await collect() or []
    except Missing as error:
        # Another node released or deleted it meanwhile: this one learns of it soon.
        log.info("collecting is put off: %s", error)
    except TidingsError as error:
        log.warning("collecting is put off: %s", error)
    return []
