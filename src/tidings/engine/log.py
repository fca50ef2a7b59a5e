"""The log: what every face calls."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from tidings.core.entry import (
    ANY_VERSION,
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
    Inline,
    Operation,
    ProducerStamp,
    SaveGroup,
)
from tidings.core.groups import NO_DETAIL
from tidings.core.limits import TOPIC_ID_BYTES
from tidings.core.pages import IN_PLACE, IN_SEGMENTS, PageFormat
from tidings.core.results import (
    Done,
    Placed,
    ProducerIdAllocated,
    Reason,
    RecordsDeleted,
    Refused,
    Result,
)
from tidings.core.state import State
from tidings.engine.collector import Collector
from tidings.engine.fresh_blobs import FreshBlobs
from tidings.engine.gossip import Gossip, incarnation_of
from tidings.engine.journal import Journal
from tidings.engine.lane import Lane
from tidings.engine.orphans import Orphans
from tidings.engine.preference import Preference
from tidings.engine.publisher import Publisher
from tidings.engine.reader import Reader, RecordBatch
from tidings.engine.retention import Retention
from tidings.engine.rewriter import Rewriter
from tidings.engine.settings import Settings
from tidings.engine.submitter import Submitter
from tidings.engine.upkeep import Upkeep
from tidings.engine.watch import Watch, Watchers
from tidings.errors import (
    Fenced,
    InvalidRequest,
    OffsetOutOfRange,
    OutOfOrderSequence,
    TidingsError,
    Unavailable,
    UnknownTopicOrPartition,
)
from tidings.ports import BlobStore, Clock, OrderStore, Peers
from tidings.types import Offset, TopicPartition

_ERRORS: dict[Reason, type[TidingsError]] = {
    Reason.UNKNOWN_TOPIC_OR_PARTITION: UnknownTopicOrPartition,
    Reason.FENCED: Fenced,
    Reason.OUT_OF_ORDER_SEQUENCE: OutOfOrderSequence,
    Reason.INVALID: InvalidRequest,
    Reason.OFFSET_OUT_OF_RANGE: OffsetOutOfRange,
    # Lanes take care of these two.
    Reason.BLOB_DOOMED: Unavailable,
    Reason.TOO_MANY_BLOBS: Unavailable,
}

T = TypeVar("T", Placed, Done, RecordsDeleted, ProducerIdAllocated)


class NewBatch(msgspec.Struct, frozen=True, gc=False):
    """A record batch to append."""

    partition: TopicPartition
    data: bytes
    record_count: int = 1
    producer: ProducerStamp | None = None
    max_timestamp_ms: int = -1
    """The highest timestamp of its records; -1 to take the time of the append."""


class Log:
    """One node's handle on the log. It holds nothing that another node does not know or can learn.

    Usable while `run` runs. Until the node has recovered, everything waits for that; and what
    writes waits as long as it takes to learn its outcome. Give each call a time-out of your own,
    and take that of a write as indeterminate.
    """

    def __init__(
        self,
        store: OrderStore,
        blobs: BlobStore,
        *,
        peers: Peers,
        clock: Clock,
        rng: random.Random,
        settings: Settings | None = None,
        journal: str = "journal",
        page_format: PageFormat | None = None,
    ) -> None:
        """Build a node; `journal` names the journal that the stores and the peers serve.

        `page_format` is by default what the stores allow, and must be the same for ever.
        """
        settings = settings or Settings()
        self._rng = rng
        incarnation = incarnation_of(peers.node_id, f"{rng.getrandbits(64):016x}")
        can_let_go = store.can_trim and blobs.can_delete
        page_format = page_format or (IN_SEGMENTS if can_let_go else IN_PLACE)
        self.journal = Journal(store, blobs, settings, page_format)
        fresh = FreshBlobs(settings)
        self._reader = Reader(self.journal, blobs, fresh, settings)
        self._publisher = Publisher(incarnation, self.journal, clock, rng, settings)
        rivals = peers.node_ids if settings.gossip else [peers.node_id]
        preference = Preference(peers.node_id, rivals, journal, settings)
        self._gossip = Gossip(
            incarnation, peers, self.journal, fresh, preference=preference, settings=settings
        )
        self.journal.observers.append(self._gossip.observe)
        self._watchers = Watchers()
        self.journal.observers.append(self._watchers.observe)
        self.journal.jump_observers.append(self._watchers.stir_all)
        *lanes, upkeep_lane = (
            Lane(
                f"{incarnation}.{number}",
                self.journal,
                blobs,
                publisher=self._publisher,
                gossip=self._gossip,
                preference=preference,
                settings=settings,
            )
            for number in range(settings.lanes + 1)
        )
        self._submitter = Submitter(self.journal, lanes, settings)
        orphans = Orphans(self.journal, blobs, clock, settings)
        self._upkeep = Upkeep(
            incarnation,
            self.journal,
            blobs,
            orphans,
            submitter=self._submitter,
            settings=settings,
        )
        self._retention = Retention(
            self.journal,
            self._reader,
            clock,
            submitter=self._submitter,
            preference=preference,
            settings=settings,
        )
        self._collector = Collector(
            self.journal,
            self._reader,
            blobs,
            orphans,
            Rewriter(self.journal, self._reader, blobs, upkeep_lane, settings),
            submitter=self._submitter,
            preference=preference,
            settings=settings,
        )

    async def run(self) -> None:
        """Recover from the stores, then keep the node going until cancelled.

        Raises:
            Corrupt: A store holds something else than what was put there (in an exception group).
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.journal.run(), name="journal")
            tasks.create_task(self._publisher.run(), name="publisher")
            tasks.create_task(self._submitter.run(), name="submitter")
            tasks.create_task(self._gossip.run(), name="gossip")
            tasks.create_task(self._upkeep.run(), name="upkeep")
            tasks.create_task(self._retention.run(), name="retention")
            tasks.create_task(self._collector.run(), name="collector")

    def handle_message(self, source: str, message: bytes) -> None:
        """Take what a peer's `Peers.send` carried here."""
        self._gossip.handle(source, message, self._publisher)

    @property
    def state(self) -> State:
        """What this node knows, to be read only. Not to be kept across an await."""
        return self.journal.state

    # Topics -------------------------------------------------------------------------------------
    #
    # All that writes raises besides:
    #     Unavailable: Definitely not done.
    #     Indeterminate: May or may not be done.

    async def create_topic(
        self, topic: str, partition_count: int = 1, *, configs: Mapping[str, str] | None = None
    ) -> bool:
        """Create a topic; return False if it exists, whatever its partition count.

        Raises:
            InvalidRequest: No name, or a partition count out of range.
        """
        return (await self._do(self._new_topic(topic, partition_count, configs), Done)).changed

    def _new_topic(
        self, topic: str, partition_count: int, configs: Mapping[str, str] | None = None
    ) -> CreateTopic:
        topic_id = self._rng.getrandbits(8 * TOPIC_ID_BYTES).to_bytes(TOPIC_ID_BYTES, "big")
        return CreateTopic(topic, partition_count, topic_id, dict(configs or {}))

    async def delete_topic(self, topic: str) -> None:
        """Delete a topic, its records and what groups committed of it.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        await self._do(DeleteTopic(topic), Done)

    async def create_partitions(self, topic: str, partition_count: int) -> None:
        """Give a topic more partitions, `partition_count` in all.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidRequest: It has as many already, or the number is too large.
        """
        await self._do(CreatePartitions(topic, partition_count), Done)

    async def alter_topic(self, topic: str, configs: Mapping[str, str | None]) -> None:
        """Set configs of a topic, and remove those that are None.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        await self._do(AlterTopic(topic, dict(configs)), Done)

    # Records ------------------------------------------------------------------------------------

    async def append(
        self,
        name: TopicPartition,
        data: bytes,
        record_count: int = 1,
        *,
        producer: ProducerStamp | None = None,
        max_timestamp_ms: int = -1,
        create_topic: bool = False,
    ) -> Offset:
        """Append a record batch; return the offset of its first record once it is durable.

        With `create_topic`, a topic that does not exist is created with the one partition 0.
        A batch that its producer already appended gets the offset that it has.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            InvalidRequest: No records.
            Fenced, OutOfOrderSequence: The producer's epoch or sequence does not fit.
        """
        operations: list[Operation] = []
        if create_topic and not self.state.has_partition(name):
            operations.append(self._new_topic(name.topic, 1))
        operations.append(Append(name, record_count, Inline(data), producer, max_timestamp_ms))
        return _taken((await self._submitter.submit(operations))[-1], Placed).base_offset

    async def append_all(
        self, batches: Sequence[NewBatch], *, commit: CommitOffsets | None = None
    ) -> list[Offset | TidingsError]:
        """Append batches, in order; return what `append` would return or raise of each.

        They are durable together, or, if this raises, all as uncertain; refused are they one by
        one. So it is with `commit`, which is carried out after them.

        Raises:
            InvalidRequest: They do not fit one entry.
        """
        operations = _appends(batches)
        if commit is not None:
            operations.append(commit)
        results = await self._submitter.submit(operations)
        return [outcome(result) for result in results[: len(batches)]]

    def append_soon(self, batches: Sequence[NewBatch]) -> asyncio.Future[list[Result]]:
        """Begin what `append_all` does; return where results go, each to be given to `outcome`.

        For callers with so many appends that they have no task for each. To cancel the future is
        to leave: the batches may or may not be appended.

        Raises:
            InvalidRequest, Unavailable: See `append_all`; so far as it is known at once.
        """
        return self._submitter.submit_soon(_appends(batches))

    async def delete_records(self, name: TopicPartition, before: Offset) -> Offset:
        """Let nobody read below an offset; return the log start offset, which never goes back.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            OffsetOutOfRange: The offset is beyond the end.
        """
        await self.journal.barrier()
        topic = self.state.topics.get(name.topic)
        if topic is None or not self.state.has_partition(name):
            raise UnknownTopicOrPartition(f"there is no partition {name.partition} of {name.topic}")
        if before <= (log_start_offset := self.state.log_start_offset(name)):
            return log_start_offset
        before_bytes = await self._reader.bytes_before(name, before)
        operation = DeleteRecords(name, before, before_bytes, topic.topic_id)
        return (await self._do(operation, RecordsDeleted)).log_start_offset

    async def allocate_producer_id(self) -> int:
        """Return a producer id that nobody else gets."""
        return (await self._do(AllocateProducerId(), ProducerIdAllocated)).producer_id

    # Groups -------------------------------------------------------------------------------------

    async def commit_offsets(
        self,
        group: str,
        offsets: Mapping[TopicPartition, Offset],
        *,
        may_move_back: bool = False,
        details: Mapping[TopicPartition, tuple[int, str]] | None = None,
        version: int = ANY_VERSION,
    ) -> None:
        """Set the group's committed offsets: of each partition the next offset to read.

        Unless `may_move_back`, an offset below the committed one changes nothing. `details` has
        the leader epoch and the metadata that a client sent with an offset.

        Raises:
            UnknownTopicOrPartition: There is no such partition; no offset was committed.
            Fenced: The group's document has another version; no offset was committed.
        """
        told = [details.get(name, NO_DETAIL) for name in offsets] if details else []
        await self._do(
            CommitOffsets(group, list(offsets.items()), may_move_back, told, version), Done
        )

    async def save_group(self, group: str, version: int, document: bytes) -> None:
        """Replace a group's document, if `version` is one more than the stored document's.

        Without a document that is 1.

        Raises:
            Fenced: It is not; somebody else has replaced the document.
        """
        await self._do(SaveGroup(group, version, document), Done)

    async def delete_offsets(
        self, group: str, partitions: Sequence[TopicPartition], *, version: int = ANY_VERSION
    ) -> None:
        """Forget what a group committed of some partitions, if it did.

        Raises:
            Fenced: The group's document has another version; nothing was forgotten.
        """
        await self._do(DeleteOffsets(group, list(partitions), version), Done)

    async def delete_group(self, group: str, *, version: int = ANY_VERSION) -> bool:
        """Forget a group's offsets and its document; return False if there was nothing.

        Raises:
            Fenced: The document has another version; nothing was forgotten.
        """
        return (await self._do(DeleteGroup(group, version), Done)).changed

    async def _do(self, operation: Operation, kind: type[T]) -> T:
        (result,) = await self._submitter.submit([operation])
        return _taken(result, kind)

    # Reading ------------------------------------------------------------------------------------

    async def fetch(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[RecordBatch]:
        """Return record batches from the one that holds `offset` on; see `Reader.fetch`.

        Answers from what this node knows, which may be behind: nothing is skipped, but what was
        appended a moment ago through another node may not be there yet. Nothing is refused before
        this node is sure.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            OffsetOutOfRange: The offset is below the log start offset or beyond the end.
            Unavailable: A store that had to be asked gave no answer.
            Corrupt: A store holds something else than what was put there.
        """
        await self.journal.recovered.wait()
        try:
            return await self._reader.fetch(name, offset, size_bytes_max)
        except (UnknownTopicOrPartition, OffsetOutOfRange):
            await self.journal.barrier()
            return await self._reader.fetch(name, offset, size_bytes_max)

    async def batch_for_time(self, name: TopicPartition, timestamp_ms: int) -> RecordBatch | None:
        """Return the first batch with a record at or after a time; None if there is none; current.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        await self.journal.barrier()
        return await self._reader.batch_for_time(name, timestamp_ms)

    async def newest_batch_by_time(self, name: TopicPartition) -> RecordBatch | None:
        """Return the batch with the highest timestamp of a partition; None if empty; current.

        Raises:
            UnknownTopicOrPartition, Unavailable, Corrupt: See `fetch`.
        """
        await self.journal.barrier()
        return await self._reader.newest_batch_by_time(name)

    def watch(self, partitions: Sequence[TopicPartition]) -> Watch:
        """Return what waits for records: `with log.watch(…) as watch: … await watch.wait()`.

        Open it before looking: what arrives after that is noticed.
        """
        return Watch(self._watchers, partitions)

    async def barrier(self) -> None:
        """Return once this node knows all that was settled when the call began.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self.journal.barrier()

    async def known_end_offset(self, name: TopicPartition) -> Offset:
        """Return the end offset of a partition as far as this node knows; 0 if it knows of none."""
        await self.journal.recovered.wait()
        return self.state.end_offset(name)

    async def end_offset(self, name: TopicPartition) -> Offset:
        """Return the offset that the partition's next record will get; current.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self.journal.barrier()
        return self.state.end_offset(name)

    async def committed_offsets(
        self, group: str, names: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Offset]:
        """Return the group's committed offset of each partition that has one; current.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self.journal.barrier()
        found = {name: self.state.committed_offset(group, name) for name in names}
        return {name: offset for name, offset in found.items() if offset is not None}


def _appends(batches: Sequence[NewBatch]) -> list[Operation]:
    return [
        Append(
            batch.partition,
            batch.record_count,
            Inline(batch.data),
            batch.producer,
            batch.max_timestamp_ms,
        )
        for batch in batches
    ]


def outcome(result: Result) -> Offset | TidingsError:
    """Return what became of an append: the offset of its first record, or why it was refused."""
    return result.base_offset if isinstance(result, Placed) else _error(result)


def _taken(result: Result, kind: type[T]) -> T:
    """Return a result that took effect; raise the error of one that did not."""
    if isinstance(result, Refused):
        raise _error(result)
    assert isinstance(result, kind), f"{result} is no {kind}"
    return result


def _error(result: Result) -> TidingsError:
    assert isinstance(result, Refused), f"{result} is no refusal"
    return _ERRORS[result.reason](result.reason.value)
