"""`EmbeddedLog`: topics, records and consumer groups, for the program that holds it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Literal, TypeAlias

from tidings.core.entry import CommitOffsets
from tidings.embedded.batches import PlacedRecord, PlannedBatch, fields_of, plan_batches
from tidings.embedded.lifetime import Lifetime
from tidings.embedded.reading import Reading
from tidings.embedded.records import Header, NewRecord, Record, TopicInfo
from tidings.engine.log import Log
from tidings.errors import (
    InvalidRequest,
    OffsetOutOfRange,
    TidingsError,
    UnknownTopicOrPartition,
)
from tidings.kafka.append_rules import rules_of
from tidings.kafka.config_type import InvalidConfig
from tidings.kafka.offsets_by_time import NOTHING, first_at
from tidings.kafka.partitioning import partition_of
from tidings.kafka.record_batch import Compression
from tidings.kafka.topic_configs import parse_configs
from tidings.kafka.topic_names import colliding_name, name_refusal
from tidings.ports import Clock
from tidings.types import Offset, TopicPartition

CompressionName: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]

Start: TypeAlias = Literal["beginning", "end"] | int | Mapping[int, int]
"""Where to read from: a name, the offset in the one partition that is read, or offsets by
partition; a partition that is not named is read from its beginning."""

Commit: TypeAlias = tuple[str, Record | Sequence[Record]]
"""A consumer group, and what it has dealt with: a record, or several."""


class EmbeddedLog:
    """A log inside this process; made by `tidings.open`, and closed with it.

    For one event loop; any number of its tasks may use it at the same time. Every call may raise,
    besides what it says:
        InvalidRequest: The log was closed.
        Unavailable: It did not happen: the disk is full, or too much is waiting. Try again later.
        Indeterminate: It may or may not have happened.
    """

    def __init__(self, log: Log, clock: Clock, lifetime: Lifetime) -> None:
        """Work with a log of the engine that has recovered and is the only one on its stores."""
        self._log = log
        self._clock = clock
        self._lifetime = lifetime
        # Of each topic the partition that is next for records without keys.
        self._turns: defaultdict[str, int] = defaultdict(int)

    # Topics -------------------------------------------------------------------------------------

    async def create_topic(
        self, topic: str, partitions: int = 1, *, configs: Mapping[str, str] | None = None
    ) -> bool:
        """Create a topic; return False if it exists, whatever its partitions and configs are.

        `configs` are Kafka's: `{"retention.ms": "3600000"}`, say.

        Raises:
            InvalidRequest: The name, the number of partitions or a config is refused.
        """
        with self._lifetime.write():
            if reason := name_refusal(topic):
                raise InvalidRequest(reason)
            other = colliding_name(topic, self._log.state.topics)
            if other is not None:
                raise InvalidRequest(f"{topic} and {other} differ only in '.' and '_'")
            return await self._log.create_topic(topic, partitions, configs=_parsed(configs or {}))

    async def create_partitions(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions, `partitions` in all. Keys may change their partition by it.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidRequest: It has as many already, or the number is too large.
        """
        with self._lifetime.write():
            await self._log.create_partitions(topic, partitions)

    async def delete_topic(self, topic: str) -> None:
        """Delete a topic, its records, and what groups committed of it.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        with self._lifetime.write():
            await self._log.delete_topic(topic)

    async def topics(self) -> dict[str, TopicInfo]:
        """Return every topic by its name."""
        self._lifetime.check()
        await self._log.barrier()
        return {
            name: TopicInfo(topic.partition_count, dict(topic.configs))
            for name, topic in self._log.state.topics.items()
        }

    async def offsets(self, topic: str) -> dict[int, range]:
        """Return, of each partition, the offsets of the records that can be read.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        self._lifetime.check()
        await self._log.barrier()
        names = self._names(topic, None)
        state = self._log.state
        return {
            name.partition: range(state.log_start_offset(name), state.end_offset(name))
            for name in names
        }

    async def offsets_at(self, topic: str, time: datetime) -> dict[int, int]:
        """Return, of each partition, where to start to read what is of that time or later.

        That is the end of a partition that has nothing so new. In a partition whose records are not
        in the order of their times, older ones may follow.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
            InvalidRequest: The time does not say its time zone.
        """
        self._lifetime.check()
        if time.tzinfo is None:
            raise InvalidRequest("a time needs a time zone: datetime.now(UTC), say")
        timestamp_ms = max(int(time.timestamp() * 1000), 0)
        starts: dict[int, int] = {}
        for name in self._names(topic, None):
            found = await first_at(self._log, name, timestamp_ms)
            is_there = found != NOTHING
            starts[name.partition] = found.offset if is_there else self._log.state.end_offset(name)
        return starts

    # Writing ------------------------------------------------------------------------------------

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
        timestamp_ms: int | None = None,
        partition: int | None = None,
        commit: Commit | None = None,
    ) -> Record:
        """Append a record; return it, with its place, once it is durable. See `append_many`."""
        (record,) = await self.append_many(
            topic,
            [NewRecord(value, key, headers, timestamp_ms)],
            partition=partition,
            commit=commit,
        )
        return record

    async def append_many(
        self,
        topic: str,
        records: Iterable[NewRecord | bytes],
        *,
        partition: int | None = None,
        compression: CompressionName = "none",
        commit: Commit | None = None,
    ) -> list[Record]:
        """Append records, all or none; return them once they are durable, in their order.

        Without `partition`, a record with a key goes where Kafka's Java client would put it; those
        without one go to one partition together, to another with the next call. `commit` names a
        group and records, and does what the method `commit` does at the same moment: either all of
        it has happened, or nothing has.

        Raises:
            UnknownTopicOrPartition: There is no such topic or partition.
            InvalidRequest: A record is none, is too large or too far in the future for the topic,
                or all of them are too large for one call (64 MiB).
        """
        with self._lifetime.write():
            now_ms = self._clock.now_ms()
            batches = self._plan(topic, records, partition, compression, now_ms)
            committing = _commit_of(*commit) if commit else None
            if committing is not None:
                self._check_known(name for name, _ in committing.offsets)
            if not batches and committing is None:
                return []
            outcomes = await self._log.append_all(
                [batch.new for batch in batches], commit=committing
            )
        appended: list[tuple[int, Record]] = []
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, TidingsError):
                raise outcome
            appended += batch.appended(outcome)
        return [record for _, record in sorted(appended, key=itemgetter(0))]

    def _plan(
        self,
        topic: str,
        records: Iterable[NewRecord | bytes],
        partition: int | None,
        compression: CompressionName,
        now_ms: int,
    ) -> list[PlannedBatch]:
        """Give each record its partition, and make batches of them."""
        names = self._names(topic, partition)
        without_key = names[self._turns[topic] % len(names)]
        self._turns[topic] += 1
        by_partition: dict[TopicPartition, list[PlacedRecord]] = {}
        for place, record in enumerate(records):
            fields = fields_of(record, now_ms)
            name = (
                without_key if fields.key is None else names[partition_of(fields.key, len(names))]
            )
            by_partition.setdefault(name, []).append(PlacedRecord(place, fields))
        rules = rules_of(self._log.state.topics[topic].configs)
        return [
            batch
            for name, placed in by_partition.items()
            for batch in plan_batches(name, placed, _compression(compression), rules, now_ms)
        ]

    # Reading ------------------------------------------------------------------------------------

    def read(
        self,
        topic: str,
        *,
        partition: int | None = None,
        start: Start = "beginning",
        group: str | None = None,
    ) -> Reading:
        """Return an iterator over the records that are there now, and no later ones.

        Of one partition, or of all; within a partition in order. With `group`, partitions of which
        the group committed something are read from there; the others from `start`.

        Raises:
            UnknownTopicOrPartition: There is no such topic or partition.
            OffsetOutOfRange: There is nothing at that offset, or not any more.
        """
        starts = self._starts(topic, partition, start, group)
        state = self._log.state
        ends = {number: state.end_offset(TopicPartition(topic, number)) for number in starts}
        return Reading(self._log, self._lifetime, topic, starts=starts, ends=ends)

    def follow(
        self,
        topic: str,
        *,
        partition: int | None = None,
        start: Start = "beginning",
        group: str | None = None,
    ) -> Reading:
        """Return an iterator like that of `read`, which waits for more until the log is closed.

        Where it begins is settled when this is called: what is appended later is in it.

        Raises:
            UnknownTopicOrPartition, OffsetOutOfRange: See `read`.
        """
        starts = self._starts(topic, partition, start, group)
        return Reading(self._log, self._lifetime, topic, starts=starts, ends=None)

    def _starts(
        self, topic: str, partition: int | None, start: Start, group: str | None
    ) -> dict[int, int]:
        """Return the first offset to read of each partition."""
        self._lifetime.check()
        state = self._log.state
        starts: dict[int, int] = {}
        names = self._names(topic, partition)
        if isinstance(start, int) and len(names) > 1:
            raise InvalidRequest(
                f"{topic} has {len(names)} partitions: name one with `partition`, or give `start` "
                "an offset for each"
            )
        for name in names:
            first, end = state.log_start_offset(name), state.end_offset(name)
            committed = state.committed_offset(group, name) if group is not None else None
            wanted = (
                _start_of(name.partition, start, first, end) if committed is None else committed
            )
            if not first <= wanted <= end:
                raise OffsetOutOfRange(
                    f"{topic}, partition {name.partition}, has the offsets from {first} to below "
                    f"{end}; {wanted} was asked for"
                )
            starts[name.partition] = wanted
        return starts

    # Groups -------------------------------------------------------------------------------------

    async def commit(self, group: str, *records: Record) -> None:
        """Remember that a group has dealt with these records and all before them.

        What it had committed beyond stays: this never goes back.

        Raises:
            UnknownTopicOrPartition: There is no such partition; nothing was committed.
        """
        committing = _commit_of(group, records)
        with self._lifetime.write():
            await self._log.commit_offsets(group, dict(committing.offsets))

    async def commit_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set the next offset that a group reads of each of these partitions; it may go back.

        Raises:
            UnknownTopicOrPartition: There is no such partition; nothing was committed.
            InvalidRequest: An offset is negative.
        """
        _check_group(group)
        names = {
            TopicPartition(topic, partition): Offset(offset)
            for partition, offset in offsets.items()
        }
        with self._lifetime.write():
            await self._log.commit_offsets(group, names, may_move_back=True)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the next offset that a group reads, of each partition that it committed.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        self._lifetime.check()
        await self._log.barrier()
        found = await self._log.committed_offsets(group, self._names(topic, None))
        return {name.partition: offset for name, offset in found.items()}

    # Names --------------------------------------------------------------------------------------

    def _names(self, topic: str, partition: int | None) -> list[TopicPartition]:
        """Return one partition of a topic, or all.

        Raises:
            UnknownTopicOrPartition: There is no such topic or partition.
        """
        known = self._log.state.topics.get(topic)
        if known is None:
            raise UnknownTopicOrPartition(
                f"there is no topic {topic}: create it with create_topic({topic!r})"
            )
        if partition is None:
            return [TopicPartition(topic, number) for number in range(known.partition_count)]
        name = TopicPartition(topic, partition)
        self._check_known([name])
        return [name]

    def _check_known(self, names: Iterable[TopicPartition]) -> None:
        for name in names:
            if not self._log.state.has_partition(name):
                raise UnknownTopicOrPartition(
                    f"there is no partition {name.partition} of {name.topic}"
                )


def _start_of(partition: int, start: Start, first: int, end: int) -> int:
    match start:
        case "beginning":
            return first
        case "end":
            return end
        case int():
            return start
        case Mapping():
            return start.get(partition, first)
        case _:
            raise InvalidRequest(f"start is 'beginning', 'end' or offsets, not {start!r}")


def _commit_of(group: str, records: Record | Sequence[Record]) -> CommitOffsets:
    _check_group(group)
    offsets: dict[TopicPartition, Offset] = {}
    for record in [records] if isinstance(records, Record) else records:
        name = TopicPartition(record.topic, record.partition)
        offsets[name] = Offset(max(record.offset + 1, offsets.get(name, 0)))
    return CommitOffsets(group, list(offsets.items()))


def _check_group(group: str) -> None:
    if not group:
        raise InvalidRequest("a group needs a name")


def _compression(name: str) -> Compression:
    try:
        return Compression[name.upper()]
    except KeyError:
        known = ", ".join(one.name.lower() for one in Compression)
        raise InvalidRequest(f"{name!r} is no compression: choose one of {known}") from None


def _parsed(configs: Mapping[str, str]) -> dict[str, str]:
    try:
        return parse_configs(configs)
    except InvalidConfig as error:
        raise InvalidRequest(str(error)) from error
