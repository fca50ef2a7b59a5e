"""Short ways to make entries, to fold them, and to read what an index says, as a node would."""

from collections.abc import Mapping

from tidings.core.entry import Append, CreateTopic, Entry, Inline, Operation, Submission
from tidings.core.pages import IndexEntry, InEntry, Page, Section, covers, find_tree, step_down
from tidings.core.results import Result
from tidings.core.state import State
from tidings.types import Offset, Slot, TopicPartition

A = TopicPartition("a", 0)
B = TopicPartition("b", 0)

EMPTY = Entry("n0/1", 0, [])


def create(topic: str, partition_count: int = 1) -> CreateTopic:
    """Create a topic whose id follows from its name."""
    return CreateTopic(topic, partition_count, topic_id_of(topic))


def topic_id_of(topic: str) -> bytes:
    return topic.encode().ljust(16, b".")


def batch(name: TopicPartition = A, count: int = 1, data: bytes = b"x") -> Append:
    return Append(name, count, Inline(data))


def submission(
    *operations: Operation, origin: str = "n0/1", number: int = 1, last_slot: int = 1000
) -> Submission:
    return Submission(origin, number, Slot(last_slot), list(operations))


def apply(state: State, *submissions: Submission, ms: int = 0) -> list[list[Result] | None]:
    """Fold one entry; return what became of each submission."""
    applied = state.apply(state.next_slot, Entry("n0/1", ms, list(submissions)))
    return [results for _, results in applied]


def fold(state: State, *operations: Operation, ms: int = 0) -> list[Result]:
    """Fold one entry whose only submission comes from a node that is never heard of again."""
    slot = state.next_slot
    (results,) = apply(state, submission(*operations, origin=f"once/{slot}", last_slot=slot), ms=ms)
    assert results is not None
    return results


def fold_until(state: State, slot: int, ms: int = 0) -> None:
    """Fold empty entries until `slot` is next."""
    while state.next_slot < slot:
        apply(state, ms=ms)


def state_with_topics(*topics: str) -> State:
    state = State()
    fold(state, *map(create, topics))
    return state


def index_entry(base: int, last: int | None = None) -> IndexEntry:
    """Return an entry of one byte for each record, timestamps going up with offsets."""
    last = base if last is None else last
    where = InEntry(Slot(0), 0, 0, last - base + 1)
    return IndexEntry(Offset(base), Offset(last), 0, where, last, last, last + 1)


def section_of(page: Page, name: TopicPartition) -> Section:
    (section,) = (part.section for part in page.sections if part.partition == name)
    return section


def read_index(state: State, durable: Mapping[int, Page], name: TopicPartition) -> list[IndexEntry]:
    """Return all index entries of a partition, from pages where memory has dropped them.

    Only pages that the state calls durable are looked up in `durable`.
    """
    partition = state.partitions.get(name)
    found: list[IndexEntry] = []
    while partition is not None and (offset := end_of(found)) < partition.end_offset:
        if offset >= partition.start_offset:
            found += partition.locate(covers(offset), len(partition.entries))
        else:
            section = _find_section(state, durable, name, offset)
            found += [entry for entry in section.entries if entry.last_offset >= offset]
    return found


def _find_section(
    state: State, durable: Mapping[int, Page], name: TopicPartition, offset: Offset
) -> Section:
    tree = find_tree(state.partitions[name].spine, covers(offset))
    while True:
        assert tree is not None, f"S1: {name} has no section with offset {offset}"
        pages = durable if tree.page < state.durable_pages else state.unwritten
        section = section_of(pages[tree.page], name)
        child = step_down(section, covers(offset))
        if child is None:
            assert tree.page < state.durable_pages, f"P3: {offset} was pruned, {tree} is unwritten"
            return section
        tree = child


def end_of(entries: list[IndexEntry]) -> Offset:
    """Return the offset that follows dense entries."""
    return Offset(entries[-1].last_offset + 1 if entries else 0)
