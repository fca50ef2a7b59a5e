"""The fold: the cluster's state is what you get by applying the journal's entries in order.

`State.apply` is deterministic and total: any entry that decodes can be applied, on every node, with
the same results. An operation that makes no sense (`limits`) is refused, never an exception.

    F1  entries are applied in slot order, each once, none skipped;
    F2  a submission is applied at most once: its origin's numbers only go up, and none is applied
        after its last slot or long before it (so an origin all of whose applied submissions are
        past their last slots can be forgotten, and all are in time);
    F3  a committed offset goes back only when asked to;
    F4  every entry of the index is one batch of the journal (index ⊆ journal).

The index in memory is part of the state only as far as pruning allows: `prune` drops what pages
hold, at any time, without changing any answer.
"""

from tidings.core.blob_numbers import BlobNumbers, data_blob
from tidings.core.collection import Collection, Condemned
from tidings.core.entry import (
    AllocateProducerId,
    AlterTopic,
    Append,
    CommitOffsets,
    CreatePartitions,
    CreateTopic,
    DeleteGroup,
    DeleteOffsets,
    DeleteRecords,
    DeleteTopic,
    DoomBlobs,
    Entry,
    ForgetBlobs,
    ForgetCheckpoints,
    ForgetFormerBlobs,
    ForgetPages,
    InBlob,
    Inline,
    MarkPagesDurable,
    Operation,
    ReleaseSections,
    ReserveBlobs,
    RewritePage,
    SaveGroup,
    Submission,
)
from tidings.core.groups import Group, Groups
from tidings.core.limits import BYTES_MAX, OFFSET_MAX, SUBMISSION_SLOTS_MAX, is_within_limits
from tidings.core.pages import (
    ENTRY_BYTES,
    IN_PLACE,
    InEntry,
    Page,
    PageFormat,
    PageSection,
    Section,
    drop_trees,
)
from tidings.core.partition import START, Partition
from tidings.core.producers import PlacedBatch, Verdict
from tidings.core.results import (
    Done,
    Placed,
    ProducerIdAllocated,
    Reason,
    RecordsDeleted,
    Refused,
    Result,
)
from tidings.core.segments import move_to_segment
from tidings.core.topics import Topic, Topics
from tidings.types import Offset, Slot, TopicPartition

PRODUCER_IDLE_MS_MAX = 24 * 60 * 60 * 1000
"""Producers that placed nothing for this long are forgotten (Kafka: producer.id.expiration.ms).

Measured between the wall clocks of publishers, which must agree much better than this.
"""

Applied = tuple[Submission, list[Result] | None]
"""A submission with its results; None when it was dropped (repeated, or not at its time).

If it names a blob that is not reserved, that is the result of all its operations.
"""

_Place = tuple[Slot, int, int]
"""Slot, submission and operation: where in the journal an operation stands."""

_UNKNOWN = Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
_INVALID = Refused(Reason.INVALID)
_DOOMED = Refused(Reason.BLOB_DOOMED)

_REFUSALS = {
    Verdict.FENCED: Refused(Reason.FENCED),
    Verdict.OUT_OF_ORDER: Refused(Reason.OUT_OF_ORDER_SEQUENCE),
}


class State:
    """The state after folding the slots below `next_slot`."""

    def __init__(
        self,
        page_format: PageFormat = IN_PLACE,
        topics: Topics | None = None,
        groups: Groups | None = None,
        collection: Collection | None = None,
        blob_numbers: BlobNumbers | None = None,
    ) -> None:
        self.page_format = page_format
        # The slot whose entry is applied next.
        self.next_slot = Slot(0)
        # The page that is sealed next: its number, its first slot, and what is in it.
        self.open_page = 0
        self.open_slot = Slot(0)
        self._open_batches = 0
        self._open_bytes = 0
        self._open_stored_bytes = 0
        self._open_blobs: dict[str, None] = {}
        self._topics = topics or Topics()
        # Partitions that ever got records; the others of a topic are empty.
        self.partitions: dict[TopicPartition, Partition] = {}
        self._groups = groups or Groups()
        self.next_producer_id = 0
        # These stay empty where pages have no segments: nothing is deleted there.
        self.collection = collection or Collection()
        self.blob_numbers = blob_numbers or BlobNumbers()
        # The blob that the submission being applied may name, if any.
        self._blob = ""
        # Of each origin, the newest number that was applied and the highest last slot. Grows by
        # `apply`, shrinks where a page is sealed.
        self.origins: dict[str, tuple[int, Slot]] = {}
        # Pages sealed but not known to be durable, oldest first.
        self.unwritten: dict[int, Page] = {}
        # Pages below are durable, with their segments, and the first slot that none of them covers.
        self.durable_pages = 0
        self.durable_slot = Slot(0)
        # Index entries in memory, all partitions together.
        self.index_size = 0
        # Partitions with records since the last seal, in order of appearance.
        self._touched: dict[TopicPartition, None] = {}
        # Partitions that may have durable entries in memory: what `prune` has to look at.
        self._prunable: dict[TopicPartition, None] = {}

    # Entries ------------------------------------------------------------------------------------

    def apply(self, slot: Slot, entry: Entry) -> list[Applied]:
        """Fold the entry of the next slot; return what became of each of its submissions."""
        assert slot == self.next_slot, f"F1: slot {slot} applied when {self.next_slot} is next"
        applied: list[Applied] = []
        for position, submission in enumerate(entry.submissions):
            if not self._admit(slot, submission):
                applied.append((submission, None))
                continue
            if not self._take_blob(submission, entry.published_ms):
                applied.append((submission, [_DOOMED] * len(submission.operations)))
                continue
            results = [
                self._apply_operation(operation, (slot, position, place), entry.published_ms)
                for place, operation in enumerate(submission.operations)
            ]
            applied.append((submission, results))
        self.next_slot = Slot(slot + 1)
        if self._page_is_full():
            self._seal(entry.published_ms)
        return applied

    @property
    def is_at_page_boundary(self) -> bool:
        """Whether a page has just been sealed."""
        return self.next_slot == self.open_slot

    def _page_is_full(self) -> bool:
        return (
            self.next_slot - self.open_slot >= self.page_format.slots_max
            or self._open_batches >= self.page_format.batches_max
            or self._open_bytes >= self.page_format.inline_bytes_max
        )

    def is_settled(self, origin: str, number: int) -> bool:
        """Whether this submission, or a later one of its origin, has been applied."""
        newest = self.origins.get(origin)
        return newest is not None and newest[0] >= number

    def _admit(self, slot: Slot, submission: Submission) -> bool:
        """Say whether a submission is applied at this slot, and remember that it is (F2)."""
        origin, number, last_slot = submission.origin, submission.number, submission.last_slot
        if self.is_settled(origin, number) or not slot <= last_slot <= slot + SUBMISSION_SLOTS_MAX:
            return False
        _, highest = self.origins.get(origin, (number, last_slot))
        self.origins[origin] = (number, max(last_slot, highest))
        return True

    def _take_blob(self, submission: Submission, now_ms: int) -> bool:
        """Say whether a submission may name the blob that it names, if any (X1)."""
        origin, number = submission.origin, submission.blob_number
        self._blob = ""
        if not number:
            return True
        if not self.blob_numbers.take(origin, number, now_ms):
            return False
        self._blob = data_blob(origin, number)
        self._open_blobs[self._blob] = None
        return True

    def _apply_operation(self, operation: Operation, place: _Place, now_ms: int) -> Result:
        if not is_within_limits(operation):
            return _INVALID
        match operation:
            case Append():
                return self._append(operation, place, now_ms)
            case CommitOffsets(offsets=offsets):
                known = all(self.has_partition(partition) for partition, _ in offsets)
                return self._groups.commit(operation, now_ms) if known else _UNKNOWN
            case MarkPagesDurable():
                return self._mark_durable(operation.page)
            case DeleteRecords():
                return self._delete_records(operation)
            case AllocateProducerId():
                self.next_producer_id += 1
                return ProducerIdAllocated(self.next_producer_id - 1)
            case SaveGroup():
                return self._groups.save(operation)
            case DeleteOffsets():
                return self._groups.delete_offsets(operation)
            case DeleteGroup():
                return self._groups.delete(operation)
            case CreateTopic():
                slot, _, _ = place
                return self._topics.create(operation, slot, self.open_page)
            case DeleteTopic():
                return self._delete_topic(operation.topic)
            case CreatePartitions():
                return self._topics.create_partitions(operation)
            case AlterTopic():
                return self._topics.alter(operation)
            case ReleaseSections():
                return self._release(operation)
            case ForgetPages():
                return self.collection.forget(operation)
            case ReserveBlobs(numbers):
                if not self.page_format.has_segments:
                    return _INVALID
                return self.blob_numbers.reserve(numbers, now_ms)
            case DoomBlobs():
                return self.blob_numbers.doom(operation, now_ms)
            case ForgetBlobs():
                return self.blob_numbers.forget(operation)
            case ForgetCheckpoints():
                return self.collection.forget_checkpoints(operation)
            case RewritePage():
                _, _, position = place
                return self._rewrite(operation) if position == 0 else _INVALID
            case ForgetFormerBlobs():  # pragma: no branch: the last kind of operation
                return self.collection.forget_former_blobs(operation)

    def _append(self, operation: Append, place: _Place, now_ms: int) -> Result:
        if not self.has_partition(operation.partition):
            return _UNKNOWN
        payload = operation.payload
        where: InEntry | InBlob
        if isinstance(payload, Inline):
            where = InEntry(*place, len(payload.data))
        elif self.page_format.has_segments and payload.name != self._blob:
            return _INVALID
        else:
            where = payload
        partition = self.partitions.get(operation.partition)
        if partition is None:
            partition = self.partitions[operation.partition] = Partition()
        if (
            partition.end_offset + operation.record_count > OFFSET_MAX
            or partition.end_bytes + where.size_bytes > BYTES_MAX
        ):
            return _INVALID
        if operation.producer is not None:
            found = partition.producers.check(operation.producer, operation.record_count)
            if isinstance(found, PlacedBatch):
                return Placed(found.base_offset, duplicate=True)
            if found is not None:
                return _REFUSALS[found]
        base = partition.append(operation.record_count, now_ms, where, operation.max_timestamp_ms)
        if operation.producer is not None:
            partition.producers.record(operation.producer, operation.record_count, base, now_ms)
        self.index_size += 1
        self._open_batches += 1
        self._open_stored_bytes += where.size_bytes + ENTRY_BYTES
        if isinstance(payload, Inline):
            self._open_bytes += len(payload.data)
        self._touched[operation.partition] = None
        return Placed(base)

    def _delete_records(self, operation: DeleteRecords) -> Result:
        name, before = operation.partition, operation.before_offset
        topic = self.topics.get(name.topic)
        if topic is None or not self.has_partition(name) or topic.topic_id != operation.topic_id:
            return _UNKNOWN
        if before > self.end_offset(name):
            return Refused(Reason.OFFSET_OUT_OF_RANGE)
        partition = self.partitions.get(name)
        if partition is None:
            return RecordsDeleted(START)
        partition.delete_records(before, operation.before_bytes)
        return RecordsDeleted(partition.log_start_offset)

    def _delete_topic(self, name: str) -> Result:
        topic = self._topics.delete(name)
        if topic is None:
            return _UNKNOWN
        for number in range(topic.partition_count):
            self._forget_partition(TopicPartition(name, number), topic.created_page)
        self._groups.forget_topic(name)
        return Done()

    def _forget_partition(self, name: TopicPartition, created_page: int) -> None:
        partition = self.partitions.pop(name, None)
        if partition is not None:
            self.index_size -= len(partition.entries)
            self._touched.pop(name, None)
            self._prunable.pop(name, None)
            if self.page_format.has_segments and partition.spine:
                self.collection.condemn(
                    Condemned(
                        name,
                        partition.spine,
                        partition.collected_offset,
                        partition.sealed_offset,
                        created_page,
                    )
                )

    # Collecting ---------------------------------------------------------------------------------

    def _release(self, operation: ReleaseSections) -> Result:
        topic = self.topics.get(operation.partition.topic)
        known: Partition | Condemned | None = None
        if operation.condemned >= 0:
            known = self.collection.condemned.get(operation.condemned)
        elif topic is not None and topic.topic_id == operation.topic_id:
            known = self.partitions.get(operation.partition)
        # E1: somebody else may have released the same.
        if known is None or known.collected_offset != operation.from_offset:
            return Done(changed=False)
        end = known.dead_offset if isinstance(known, Partition) else known.sealed_offset
        is_rising = operation.from_offset < operation.to_offset <= end
        if not is_rising or not self.collection.has_sections(operation.pages):
            return _INVALID
        self.collection.release(operation.pages, operation.sizes)
        if isinstance(known, Partition):
            known.release(operation.to_offset)
        elif operation.to_offset == known.sealed_offset:
            del self.collection.condemned[operation.condemned]
        else:
            known.collected_offset = operation.to_offset
            known.spine = drop_trees(known.spine, operation.to_offset)
        return Done()

    def _rewrite(self, operation: RewritePage) -> Result:
        """Take another document for a page.

        It is the first operation of its submission, so that no other has named the same blob.
        """
        blob = operation.blob
        assert isinstance(blob, InBlob), f"{operation} is not within limits"
        if not self._blob or blob.name != self._blob or operation.page >= self.durable_pages:
            return _INVALID
        changed = self.collection.rewrite(operation, blob)
        if changed:
            del self._open_blobs[blob.name]
            self._blob = ""
        else:
            # It goes with the page in which it was named.
            self._open_stored_bytes += blob.size_bytes
        return Done(changed)

    # Pages --------------------------------------------------------------------------------------

    def _seal(self, now_ms: int) -> None:
        number = self.open_page
        sections = []
        for name in self._touched:
            partition = self.partitions[name]
            sections.append(PageSection(name, partition.seal(number)))
            partition.producers.forget(now_ms - PRODUCER_IDLE_MS_MAX)
        self.unwritten[number] = Page(number, self.next_slot, sections, list(self._open_blobs))
        self._touched.clear()
        self._open_blobs.clear()
        if self.page_format.has_segments:
            self.collection.seal(number, sections, self._open_stored_bytes)
            self.collection.checkpoints.append(self.next_slot)
        self.open_page, self.open_slot = number + 1, self.next_slot
        self._open_batches = self._open_bytes = self._open_stored_bytes = 0
        # F2: whatever was applied of the others would be past its last slot if it came again.
        self.origins = {
            origin: (number, last_slot)
            for origin, (number, last_slot) in self.origins.items()
            if last_slot >= self.next_slot
        }

    def _mark_durable(self, page: int) -> Result:
        if page >= self.open_page:
            return _INVALID
        if page < self.durable_pages:
            return Done(changed=False)
        for number in range(self.durable_pages, page + 1):
            sealed = self.unwritten.pop(number)
            stored = move_to_segment(sealed) if self.page_format.has_segments else sealed
            for part in stored.sections:
                if self._is_of_a_topic_that_exists(part.partition, number):
                    entries = part.section.entries if self.page_format.has_segments else ()
                    self.partitions[part.partition].mark_durable(number, entries)
                    self._prunable[part.partition] = None
            self.durable_slot = sealed.end_slot
        self.durable_pages = page + 1
        return Done()

    def restore_section(self, name: TopicPartition, page: int, section: Section) -> None:
        """Take back a section of an unwritten page, unless it is of a topic that was deleted."""
        if self._is_of_a_topic_that_exists(name, page):
            self.partitions[name].restore(page, section)
            self.index_size += len(section.entries)

    def _is_of_a_topic_that_exists(self, name: TopicPartition, page: int) -> bool:
        """Whether a section of this page is of the topic that has the name now."""
        topic = self.topics.get(name.topic)
        return topic is not None and page >= topic.created_page

    def prune(self, index_entries_max: int) -> int:
        """Drop durable index entries that nobody will ask for soon; return how many.

        They lie below the lowest committed offset, or below the log start offset. If more than
        `index_entries_max` entries are left, committed or not, durable ones are dropped as well,
        until it fits or none is left.
        """
        before = self.index_size
        lowest = self._lowest_committed()
        for name in list(self._prunable):
            self._prune_partition(name, lowest.get(name, START))
        for name in list(self._prunable):
            if self.index_size <= index_entries_max:
                break
            self._prune_partition(name, self.partitions[name].end_offset)
        return before - self.index_size

    def forget_places(self, name: TopicPartition) -> None:
        """Drop all durable index entries of a partition: what pages say may be newer."""
        if name in self._prunable:
            self._prune_partition(name, self.partitions[name].end_offset)

    def _prune_partition(self, name: TopicPartition, below: Offset) -> None:
        partition = self.partitions[name]
        self.index_size -= partition.prune(max(below, partition.log_start_offset))
        if partition.start_offset >= partition.durable_offset:
            del self._prunable[name]

    def _lowest_committed(self) -> dict[TopicPartition, Offset]:
        lowest: dict[TopicPartition, Offset] = {}
        for group in self.groups.values():
            for name in self._prunable:
                committed = group.committed.get(name)
                if committed is not None:
                    lowest[name] = min(committed.offset, lowest.get(name, committed.offset))
        return lowest

    # Questions ----------------------------------------------------------------------------------

    @property
    def topics(self) -> dict[str, Topic]:
        """All topics, by name."""
        return self._topics.by_name

    @property
    def topic_ids(self) -> dict[bytes, str]:
        """The name of each topic, by its id."""
        return self._topics.names

    @property
    def groups(self) -> dict[str, Group]:
        """All groups, by name."""
        return self._groups.by_name

    def has_partition(self, name: TopicPartition) -> bool:
        """Whether the topic exists and has this partition."""
        return self._topics.has_partition(name)

    def log_start_offset(self, name: TopicPartition) -> Offset:
        """The first offset of a partition that may be read."""
        partition = self.partitions.get(name)
        return partition.log_start_offset if partition else START

    def end_offset(self, name: TopicPartition) -> Offset:
        """The next offset of a partition; 0 for one without records."""
        partition = self.partitions.get(name)
        return partition.end_offset if partition else START

    def committed_offset(self, group: str, name: TopicPartition) -> Offset | None:
        """The next offset that the group wants to read, if it ever committed one."""
        known = self.groups.get(group)
        committed = known.committed.get(name) if known else None
        return committed.offset if committed else None
