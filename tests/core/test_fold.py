"""The core as a whole: random journals against `NaiveLog`, and the same in every process."""

import os
import subprocess
import sys

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.entry import (
    Append,
    CommitOffsets,
    DeleteRecords,
    DeleteTopic,
    Entry,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ProducerStamp,
    Submission,
    decode_entry,
    encode_entry,
)
from tidings.core.pages import PAGE_SLOTS, IndexEntry, Page, decode_page, encode_page
from tidings.core.state import State
from tidings.types import Offset, Slot, TopicPartition

from .building import EMPTY, create, read_index, topic_id_of
from .naive_log import NaiveLog, Where

ORIGINS = ["n0/1", "n1/1", "n1/2"]
NAMES = [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
GROUPS = ["g", "h"]
REPLICAS_MAX = 4

names = st.sampled_from(NAMES)
payloads = st.just(Inline(b"x")) | st.just(InBlob("data/n0/1", 0, 1))
appends = st.builds(Append, names, st.integers(1, 3), payloads)
operations: st.SearchStrategy[Operation] = st.one_of(
    appends,
    appends,
    st.builds(create, st.sampled_from(["a", "b"]), st.integers(1, 2)),
    st.builds(
        CommitOffsets,
        st.sampled_from(GROUPS),
        st.lists(st.tuples(names, st.integers(0, 12).map(Offset)), min_size=1, max_size=2),
        st.booleans(),
    ),
    st.builds(MarkPagesDurable, st.integers(0, 5)),
    st.builds(DeleteTopic, st.just("b")),
    st.builds(
        lambda name, offset: DeleteRecords(name, Offset(offset), offset, topic_id_of(name.topic)),
        names,
        st.integers(0, 6),
    ),
)


class FoldMachine(RuleBasedStateMachine):
    """Nodes that folded the same entries: one from slot 0, others from checkpoints on the way.

    Each node prunes when it likes. All must agree with the naive log, and with each other to the
    byte.
    """

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveLog()
        self.replicas = [State()]
        # Every page that was ever sealed: a blob store that all of them were written to.
        self.pages: dict[int, Page] = {}
        # All submissions that nodes ever made, by origin: each may be published at any time.
        self.made: dict[str, list[Submission]] = {origin: [] for origin in ORIGINS}
        # Batches of an idempotent producer, whose sequence is about to wrap.
        self.produced = [Append(NAMES[0], 1, Inline(b""), ProducerStamp(7, 0, 2**31 - 3))]

    def fold(self, entry: Entry) -> None:
        expected = self.naive.apply(entry)
        for state in self.replicas:
            applied = state.apply(state.next_slot, entry)
            assert [results for _, results in applied] == expected
        if self.naive.slot % PAGE_SLOTS == 0:
            self.cross_page_boundary()

    def cross_page_boundary(self) -> None:
        """Keep the page; see that all agree on everything; start another node from here."""
        number = self.naive.slot // PAGE_SLOTS - 1
        stored = [encode_checkpoint(take_checkpoint(state)) for state in self.replicas]
        pages = [encode_page(state.unwritten[number]) for state in self.replicas]
        assert stored == stored[:1] * len(stored), "C1: checkpoints differ"
        assert pages == pages[:1] * len(pages), "nodes sealed different pages"
        self.pages[number] = decode_page(pages[0])
        restored = restore_checkpoint(decode_checkpoint(stored[0]))
        self.replicas = [*self.replicas, restored][-REPLICAS_MAX:]

    @initialize()
    def create_topics(self) -> None:
        topics: list[Operation] = [create("a", 2), create("b", 1)]
        self.publish([("n0/1", 5, topics)], [])

    @rule(
        new=st.lists(
            st.tuples(
                st.sampled_from(ORIGINS),
                st.integers(0, 2 * PAGE_SLOTS),
                st.lists(operations, max_size=4),
            ),
            max_size=2,
        ),
        again=st.lists(st.tuples(st.sampled_from(ORIGINS), st.integers(0)), max_size=2),
    )
    def publish(
        self, new: list[tuple[str, int, list[Operation]]], again: list[tuple[str, int]]
    ) -> None:
        """Fill a slot with submissions that were made before and new ones."""
        chosen = [
            self.made[origin][i % len(self.made[origin])]
            for origin, i in again
            if self.made[origin]
        ]
        chosen += [self.make(*each) for each in new]
        entry = Entry("n0/1", 5, chosen)
        assert decode_entry(encode_entry(entry)) == entry
        self.fold(entry)

    @rule(
        origin=st.sampled_from(ORIGINS),
        window=st.integers(0, 2 * PAGE_SLOTS),
        operations=st.lists(operations, max_size=4),
    )
    def make_only(self, origin: str, window: int, operations: list[Operation]) -> None:
        """Make a submission that is published later, if ever."""
        self.make(origin, window, operations)

    def make(self, origin: str, window: int, operations: list[Operation]) -> Submission:
        """Number a submission as a node does: numbers go up, last slots never down."""
        made = self.made[origin]
        last_slot = max([self.naive.slot + window, *(each.last_slot for each in made)])
        made.append(Submission(origin, len(made) + 1, Slot(last_slot), operations))
        return made[-1]

    @rule(
        name=st.sampled_from(NAMES[:2]),
        count=st.integers(1, 3),
        gap=st.sampled_from([0, 0, 0, 0, 1, -1]),
        new_epoch=st.integers(0, 9).map(lambda number: number == 0),
    )
    def produce(self, name: TopicPartition, count: int, gap: int, *, new_epoch: bool) -> None:
        """Append what follows the producer's newest batch, or leave a gap, or start an epoch."""
        last = self.produced[-1]
        assert last.producer is not None
        sequence = (last.producer.base_sequence + last.record_count + gap) % 2**31
        stamp = ProducerStamp(7, last.producer.epoch, sequence)
        if new_epoch:
            stamp = ProducerStamp(7, last.producer.epoch + 1, 0)
        self.produced.append(Append(name, count, Inline(b""), stamp))
        self.submit(self.produced[-1])

    @rule(back=st.integers(1, 8))
    def produce_again(self, back: int) -> None:
        self.submit(self.produced[-min(back, len(self.produced))])

    def submit(self, operation: Operation) -> None:
        self.fold(Entry("n0/1", 5, [self.make("n0/1", 0, [operation])]))

    @rule(short=st.integers(0, 2))
    def pass_to_page_boundary(self, short: int) -> None:
        while (self.naive.slot + short) % PAGE_SLOTS:
            self.fold(EMPTY)

    @precondition(lambda self: self.replicas[0].unwritten)
    @rule()
    def write_pages(self) -> None:
        self.submit(MarkPagesDurable(max(self.replicas[0].unwritten)))

    @rule(replica=st.integers(0), index_entries_max=st.sampled_from([0, 3, 1000]))
    def prune(self, replica: int, index_entries_max: int) -> None:
        state = self.replicas[replica % len(self.replicas)]
        before = state.index_size
        assert state.prune(index_entries_max) == before - state.index_size

    @invariant()
    def every_replica_reads_what_the_naive_log_holds(self) -> None:
        for state in self.replicas:
            for name in NAMES:
                records = self.naive.records.get(name, [])
                assert state.end_offset(name) == len(records)
                assert state.log_start_offset(name) == self.naive.starts.get(name, 0)
                assert unfold(read_index(state, self.pages, name)) == records

    @invariant()
    def every_replica_holds_the_committed_offsets(self) -> None:
        for state in self.replicas:
            for group in GROUPS:
                for name in NAMES:
                    expected = self.naive.committed.get((group, name))
                    assert state.committed_offset(group, name) == expected

    @invariant()
    def index_size_counts_the_entries_in_memory(self) -> None:
        for state in self.replicas:
            held = [partition.entries for partition in state.partitions.values()]
            assert state.index_size == sum(map(len, held))


def unfold(entries: list[IndexEntry]) -> list[Where]:
    """Return where each single record is, P1 and P2 checked on the way."""
    records: list[Where] = []
    for entry in entries:
        assert entry.base_offset == len(records), "P1"
        place = entry.where
        where = (
            place if isinstance(place, InBlob) else (place.slot, place.submission, place.operation)
        )
        records += [where] * (entry.last_offset - entry.base_offset + 1)
    return records


TestFold = FoldMachine.TestCase
TestFold.settings = settings(max_examples=80, stateful_step_count=40)

FOLD_AND_STORE = """
import zlib
from tidings.core.checkpoint import encode_checkpoint, take_checkpoint
from tidings.core.entry import *
from tidings.core.state import State
from tidings.types import TopicPartition
state = State()
for slot in range(256):
    topic = f"t{slot % 50}"
    name = TopicPartition(topic, 0)
    state.apply(slot, Entry("n", slot, [Submission(f"n{slot % 9}", slot, slot + 300, [
        CreateTopic(topic, 1, topic.encode().ljust(16)),
        Append(name, 1, Inline(b""), ProducerStamp(slot % 7, 0, slot // 350)),
        CommitOffsets(f"g{slot % 5}", [(name, slot)]),
    ])]))
print(zlib.crc32(encode_checkpoint(take_checkpoint(state))))
"""


def test_fold_under_another_hash_seed_stores_the_same_bytes() -> None:
    stored = [
        subprocess.run(
            [sys.executable, "-c", FOLD_AND_STORE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert stored[0] == stored[1] != b""
