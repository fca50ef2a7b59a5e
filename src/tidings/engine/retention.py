"""Retention: moves log start offsets forward where topics ask for it.

    retention.ms      batches go whose newest record is older
    retention.bytes   batches go while as many bytes as this stay behind

A topic whose `cleanup.policy` does not name `delete` keeps everything, whatever else it says.

Batches go from the front: one that is kept keeps all after it. All partitions are looked at each
time, some after the other, beside the way of appends; who has much to let go of lets it all go at
once. Moving a log start offset deletes nothing by itself; see `collector`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidings.core.entry import DeleteRecords, Operation
from tidings.core.pages import IndexEntry, Reaches
from tidings.engine.journal import Journal
from tidings.engine.preference import Preference
from tidings.engine.reader import Reader
from tidings.engine.settings import Settings
from tidings.engine.submitter import Submitter
from tidings.errors import TidingsError
from tidings.ports import Clock
from tidings.types import Offset, TopicPartition

log = logging.getLogger(__name__)

UNLIMITED = -1


class Retention:
    """The retention that falls to this node: all of it, while it is the preferred publisher."""

    def __init__(
        self,
        journal: Journal,
        reader: Reader,
        clock: Clock,
        *,
        submitter: Submitter,
        preference: Preference,
        settings: Settings,
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._clock = clock
        self._submitter = submitter
        self._preference = preference
        self._settings = settings

    async def run(self) -> None:
        """Look at all partitions at intervals, until cancelled."""
        await self._journal.recovered.wait()
        while True:
            await asyncio.sleep(self._settings.retention_interval_s)
            if self._preference.is_own:
                await self._look()

    async def _look(self) -> None:
        """Let go of what is due; partitions of which that fails do not keep the others waiting."""
        names = list(self._journal.state.partitions)
        step = self._settings.retention_partitions_max
        for start in range(0, len(names), step):
            try:
                await self._let_go(names[start : start + step])
            except TidingsError as error:
                log.warning("retention is put off: %s", error)

    async def _let_go(self, names: Sequence[TopicPartition]) -> None:
        operations: list[Operation] = []
        for name in names:
            operation = await self._plan(name)
            if operation is not None:
                operations.append(operation)
        if operations:
            await self._submitter.submit(operations)

    async def _plan(self, name: TopicPartition) -> DeleteRecords | None:
        """Return what lets go of what is due in one partition, if anything is."""
        topic = self._journal.state.topics.get(name.topic)
        partition = self._journal.state.partitions.get(name)
        if topic is None or partition is None or not partition.size_bytes:
            return None
        retention_ms = _limit(topic.configs, "retention.ms", self._settings.retention_ms)
        retention_bytes = _limit(topic.configs, "retention.bytes", self._settings.retention_bytes)
        if retention_ms == UNLIMITED and retention_bytes == UNLIMITED:
            return None
        if not _may_delete(topic.configs):
            return None
        due = _Due(
            UNLIMITED if retention_ms == UNLIMITED else self._clock.now_ms() - retention_ms,
            UNLIMITED if retention_bytes == UNLIMITED else partition.end_bytes - retention_bytes,
        )
        # Now: what is appended while the index is read has not been looked at.
        before, before_bytes = partition.end_offset, partition.end_bytes
        kept = await self._first_kept(name, partition.log_start_offset, before, due)
        if kept is not None:
            before, before_bytes = kept.base_offset, kept.end_bytes - kept.where.size_bytes
        if before <= partition.log_start_offset:
            return None
        return DeleteRecords(name, before, before_bytes, topic.topic_id)

    async def _first_kept(
        self, name: TopicPartition, start: Offset, end: Offset, due: "_Due"
    ) -> IndexEntry | None:
        """Return the first batch from `start` on that is kept; None if none below `end` is."""
        while start < end:
            found = await self._reader.find(
                name, due.reaches_kept(start), self._settings.fetch_batches_max
            )
            # The highest timestamp so far may be that of a batch which is gone.
            kept = next((each for each in found if each.max_timestamp_ms >= due.before_ms), None)
            if kept is not None:
                return kept
            start = Offset(found[-1].last_offset + 1) if found else end
        return None


@dataclass(frozen=True, slots=True)
class _Due:
    """What one partition is to let go of."""

    before_ms: int
    """Batches whose newest record is older; -1 for none."""
    below_bytes: int
    """Batches that end at or before this byte; -1 for none."""

    def reaches_kept(self, start: Offset) -> Reaches:
        """Return the search for the first batch from `start` on that may be kept."""
        return lambda part: (
            part.last_offset >= start
            and part.highest_ms >= self.before_ms
            and part.end_bytes > self.below_bytes
        )


def _may_delete(configs: Mapping[str, str]) -> bool:
    """Whether records may go by age or size at all (Kafka: `cleanup.policy`)."""
    policies = configs.get("cleanup.policy", "delete").split(",")
    return "delete" in [policy.strip() for policy in policies]


def _limit(configs: Mapping[str, str], key: str, default: int) -> int:
    """Return a limit; whoever sets configs sees to it that they are numbers."""
    try:
        return int(configs[key])
    except (KeyError, ValueError):
        return default
