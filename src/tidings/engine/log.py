"""The log: what every face calls."""

import asyncio
import random
from collections.abc import Mapping, Sequence

from tidings.core.entry import Append, CommitOffsets, CreateTopic, Inline, Operation, ProducerStamp
from tidings.core.results import Done, Placed, Reason, Refused, Result
from tidings.engine.gossip import Gossip, incarnation_of
from tidings.engine.journal import Journal
from tidings.engine.preference import Preference
from tidings.engine.publisher import Publisher
from tidings.engine.reader import Reader, RecordBatch
from tidings.engine.settings import Settings
from tidings.engine.submitter import Submitter
from tidings.engine.upkeep import Upkeep
from tidings.errors import (
    Fenced,
    InvalidRequest,
    OutOfOrderSequence,
    TidingsError,
    UnknownTopicOrPartition,
)
from tidings.ports import BlobStore, Clock, OrderStore, Peers
from tidings.types import Offset, TopicPartition

_ERRORS: dict[Reason, type[TidingsError]] = {
    Reason.UNKNOWN_TOPIC_OR_PARTITION: UnknownTopicOrPartition,
    Reason.FENCED: Fenced,
    Reason.OUT_OF_ORDER_SEQUENCE: OutOfOrderSequence,
    Reason.INVALID: InvalidRequest,
}


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
    ) -> None:
        """Build a node; `journal` names the journal that the stores and the peers serve."""
        settings = settings or Settings()
        incarnation = incarnation_of(peers.node_id, f"{rng.getrandbits(64):016x}")
        self.journal = Journal(store, blobs, settings)
        self._reader = Reader(self.journal, blobs, settings)
        self._publisher = Publisher(incarnation, self.journal, clock, rng, settings)
        preference = Preference(peers.node_id, peers.node_ids, journal, settings)
        self._gossip = Gossip(
            incarnation, peers, self.journal, preference=preference, settings=settings
        )
        self.journal.observers.append(self._gossip.observe)
        self._submitter = Submitter(
            incarnation,
            self.journal,
            blobs,
            publisher=self._publisher,
            gossip=self._gossip,
            preference=preference,
            settings=settings,
        )
        self._upkeep = Upkeep(
            incarnation, self.journal, blobs, submitter=self._submitter, settings=settings
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

    def handle_message(self, source: str, message: bytes) -> None:
        """Take what a peer's `Peers.send` carried here."""
        self._gossip.handle(source, message, self._publisher)

    # Writing ------------------------------------------------------------------------------------

    async def create_topic(self, topic: str, partition_count: int = 1) -> bool:
        """Create a topic; return False if it exists, whatever its partition count.

        Raises:
            InvalidRequest: No name, or a partition count out of range.
            Unavailable: Definitely not done.
            Indeterminate: May or may not be done.
        """
        (result,) = await self._submitter.submit([CreateTopic(topic, partition_count)])
        done = _taken(result)
        assert isinstance(done, Done), f"creating a topic gives {result}"
        return done.changed

    async def append(
        self,
        name: TopicPartition,
        data: bytes,
        record_count: int = 1,
        *,
        producer: ProducerStamp | None = None,
        create_topic: bool = False,
    ) -> Offset:
        """Append a record batch; return the offset of its first record once it is durable.

        With `create_topic`, a topic that does not exist is created with the one partition 0.
        A batch that its producer already appended gets the offset that it has.

        Raises:
            UnknownTopicOrPartition: There is no such partition.
            InvalidRequest: No records.
            Fenced, OutOfOrderSequence: The producer's epoch or sequence does not fit.
            Unavailable: Definitely not appended.
            Indeterminate: May or may not be appended.
        """
        operations: list[Operation] = []
        if create_topic and not self.journal.state.has_partition(name):
            operations.append(CreateTopic(name.topic, 1))
        operations.append(Append(name, record_count, Inline(data), producer))
        placed = _taken((await self._submitter.submit(operations))[-1])
        assert isinstance(placed, Placed), f"an append gives {placed}"
        return placed.base_offset

    async def commit_offsets(
        self,
        group: str,
        offsets: Mapping[TopicPartition, Offset],
        *,
        may_move_back: bool = False,
    ) -> None:
        """Set the group's committed offsets: of each partition the next offset to read.

        Unless `may_move_back`, an offset below the committed one changes nothing.

        Raises:
            UnknownTopicOrPartition: There is no such partition; no offset was committed.
            Unavailable: Definitely not done.
            Indeterminate: May or may not be done.
        """
        operation = CommitOffsets(group, list(offsets.items()), may_move_back)
        (result,) = await self._submitter.submit([operation])
        _taken(result)

    # Reading ------------------------------------------------------------------------------------

    async def fetch(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[RecordBatch]:
        """Return record batches from the one that holds `offset` on; see `Reader.fetch`.

        Answers from what this node knows, which may be behind: nothing is skipped, but what was
        appended a moment ago through another node may not be there yet.
        """
        await self.journal.recovered.wait()
        return await self._reader.fetch(name, offset, size_bytes_max)

    async def end_offset(self, name: TopicPartition) -> Offset:
        """Return the offset that the partition's next record will get; current.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self.journal.barrier()
        return self.journal.state.end_offset(name)

    async def committed_offsets(
        self, group: str, names: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Offset]:
        """Return the group's committed offset of each partition that has one; current.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self.journal.barrier()
        committed = self.journal.state.groups.get(group, {})
        return {name: committed[name] for name in names if name in committed}


def _taken(result: Result) -> Placed | Done:
    """Return a result that took effect; raise the error of one that did not."""
    if isinstance(result, Refused):
        raise _ERRORS[result.reason](result.reason.value)
    return result
