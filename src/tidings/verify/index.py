"""Walks the index as a node would after a start, and looks whether what it names is there."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tidings.core.checkpoint import decode_checkpoint, restore_checkpoint
from tidings.core.entry import Append, Entry, InBlob
from tidings.core.pages import IN_SEGMENTS, IndexEntry, Page, SectionRef, decode_page
from tidings.core.partition import Partition
from tidings.core.rewriting import call_own_blob_in_page
from tidings.core.state import State
from tidings.engine.index_pages import page_blob
from tidings.engine.journal import checkpoint_blob, checkpoint_slot
from tidings.errors import Corrupt
from tidings.stores.files.blob_files import BlobFiles
from tidings.types import Offset, Slot, TopicPartition
from tidings.verify.report import Report

Lost = tuple[Offset, Offset, str]
"""The first and last offset of what cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What the order store holds, as far as it is sound."""

    boundary: Slot
    entries: dict[Slot, Entry]
    checkpoint: bytes | None
    """What the cell of that name holds."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A section without its entries: of them only what is lost."""

    newer: SectionRef | None
    older: SectionRef | None
    lost: list[Lost]


def walk_index(
    journal: Journal, files: BlobFiles, sound_blobs: Container[str], report: Report
) -> dict[str, None]:
    """Note in the report which records cannot be read; return the names of all blobs in use."""
    walk = _Walk(journal, files, sound_blobs, report)
    walk.walk()
    return walk.named


class _Walk:
    def __init__(
        self, journal: Journal, files: BlobFiles, sound_blobs: Container[str], report: Report
    ) -> None:
        self._journal = journal
        self._files = files
        self._sound_blobs = sound_blobs
        self._report = report
        # Every blob that anything names.
        self.named: dict[str, None] = {}
        self._problem_of = cache(self._find_problem)
        # Of each page that was read, its parts, or why there are none. A page is read once, for
        # each partition comes to all of its pages before the next one comes to any.
        self._pages: dict[int, dict[TopicPartition, _Part] | str] = {}

    def walk(self) -> None:
        try:
            state = self._restore()
        except Corrupt as error:
            self._report.damages.append(f"{error}; no node can start from it")
            state = State(IN_SEGMENTS)
        self._fold(state)
        self._report.partition_count = len(state.partitions)
        for name, partition in state.partitions.items():
            for first, last, problem in self._lost(state, name, partition):
                self._report.lose(name, max(first, partition.log_start_offset), last, problem)

    def _restore(self) -> State:
        """Return the state of the newest checkpoint, or that before the first slot."""
        slot = checkpoint_slot(self._journal.checkpoint)
        if slot == 0:
            return State(IN_SEGMENTS)
        self.named[checkpoint_blob(slot)] = None
        data = self._files.get(checkpoint_blob(slot))
        if data is None:
            raise Corrupt(f"checkpoint {slot} is named, but there is no such blob")
        return restore_checkpoint(decode_checkpoint(data))

    def _fold(self, state: State) -> None:
        entries = self._journal.entries
        while (entry := entries.get(state.next_slot)) is not None:
            state.apply(state.next_slot, entry)
        end = max(entries, default=-1) + 1
        if state.next_slot < end:
            self._report.damages.append(
                f"no node can fold the journal beyond slot {state.next_slot}:"
                f" what slots {state.next_slot} to {end - 1} changed is not known"
            )
        for entry in entries.values():
            for submission in entry.submissions:
                for operation in submission.operations:
                    if isinstance(operation, Append) and isinstance(operation.payload, InBlob):
                        self.named[operation.payload.name] = None

    def _lost(self, state: State, name: TopicPartition, partition: Partition) -> Iterator[Lost]:
        """Yield the ranges of one partition that cannot be read, oldest first."""
        start = partition.log_start_offset
        held = partition.start_offset
        for tree in reversed(partition.spine):
            yield from self._lost_in_tree(state, name, tree, (start, held))
        for lost in self._lost_entries(partition.entries):
            if lost[1] >= start:
                yield lost

    def _lost_in_tree(
        self,
        state: State,
        name: TopicPartition,
        tree: SectionRef,
        bounds: tuple[Offset, Offset],
    ) -> Iterator[Lost]:
        """Yield what is lost of a tree between two offsets: its older part, newer part, root."""
        start, end = bounds
        if tree.last_offset < start or start >= end:
            return
        found = self._part(state, tree.page, name)
        if isinstance(found, str):
            yield start, Offset(min(tree.last_offset, end - 1)), found
            return
        for child in (found.older, found.newer):
            if child is not None:
                yield from self._lost_in_tree(state, name, child, (start, end))
                start = max(start, Offset(child.last_offset + 1))
        for first, last, problem in found.lost:
            if last >= start and first < end:
                yield first, min(last, Offset(end - 1)), problem

    def _part(self, state: State, number: int, name: TopicPartition) -> _Part | str:
        if number not in self._pages:
            document = state.collection.rewritten.get(number)
            page = state.unwritten.get(number) or self._read_page(number, document)
            self._pages[number] = page if isinstance(page, str) else self._parts(page)
        parts = self._pages[number]
        if isinstance(parts, str):
            return parts
        return parts.get(name) or f"index page {number} has no section of it"

    def _parts(self, page: Page) -> dict[TopicPartition, _Part]:
        self.named.update(dict.fromkeys((*page.blobs, *page.former)))
        return {
            part.partition: _Part(
                part.section.newer, part.section.older, self._lost_entries(part.section.entries)
            )
            for part in page.sections
        }

    def _lost_entries(self, entries: Iterable[IndexEntry]) -> list[Lost]:
        """Return what is lost of index entries, side by side and for one reason as one."""
        lost: list[Lost] = []
        for entry in entries:
            problem = self._problem_with(entry)
            if not problem:
                continue
            first = entry.base_offset
            if lost and lost[-1][1] + 1 == first and lost[-1][2] == problem:
                first = lost.pop()[0]
            lost.append((first, entry.last_offset, problem))
        return lost

    def _problem_with(self, entry: IndexEntry) -> str:
        where = entry.where
        if isinstance(where, InBlob):
            self.named[where.name] = None
            # In a blob that is damaged somewhere, the rest can still be read.
            return self._problem_of(where.name) and self._find_problem_of_part(where)
        if where.slot not in self._journal.entries:
            return f"slot {where.slot} is missing or damaged"
        return ""

    def _find_problem(self, name: str) -> str:
        """Say what is wrong with a blob; nothing if nothing is."""
        if name in self._sound_blobs:
            return ""
        try:
            return "" if self._files.get(name) is not None else f"blob {name} is missing"
        except Corrupt as error:
            return str(error)

    def _get(self, name: str, part: InBlob | None) -> bytes | None:
        if part is None:
            return self._files.get(name)
        return self._files.get_range(name, part.position, part.size_bytes)

    def _find_problem_of_part(self, part: InBlob) -> str:
        try:
            data = self._files.get_range(part.name, part.position, part.size_bytes)
        except Corrupt as error:
            return str(error)
        if data is None:
            return f"blob {part.name} is missing"
        return "" if len(data) == part.size_bytes else f"blob {part.name} is too short"

    def _read_page(self, number: int, document: InBlob | None) -> Page | str:
        name = document.name if document else page_blob(number)
        self.named[name] = None
        try:
            data = self._get(name, document)
            if data is None:
                return f"index page {number} is missing"
            page = decode_page(data)
            return call_own_blob_in_page(page, name) if document else page
        except Corrupt as error:
            return f"index page {number}: {error}"
