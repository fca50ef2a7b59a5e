"""Reading an embedded log: record after record, up to an end or for ever."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from tidings.embedded.lifetime import Lifetime
from tidings.embedded.records import Record
from tidings.engine.log import Log
from tidings.engine.reader import RecordBatch
from tidings.errors import Corrupt, InvalidRequest, UnknownTopicOrPartition
from tidings.kafka.records import decode_batch
from tidings.types import Offset, TopicPartition

FETCH_BYTES_MAX = 256 * 1024
"""Record bytes taken from one partition before the next has its turn."""


class Reading(AsyncIterator[Record]):
    """Records of a topic's partitions, in order within each: an iterator that is never behind.

    Where it stands is known record by record. Waiting for the next one may be cancelled, by a
    time-out say, and begun again: nothing is lost by it.
    """

    def __init__(
        self,
        log: Log,
        lifetime: Lifetime,
        topic: str,
        *,
        starts: Mapping[int, int],
        ends: Mapping[int, int] | None,
    ) -> None:
        """Read partitions of a topic that exists from `starts` on, up to `ends`, if any."""
        self._log = log
        self._lifetime = lifetime
        self._topic = topic
        self._topic_id = log.state.topics[topic].topic_id
        self._ends = ends
        # Of each partition the next offset to read. Who has had its turn goes to the end.
        self._next = dict(starts)
        self._ready: Iterator[Record] = iter(())

    def __aiter__(self) -> "Reading":
        """See `AsyncIterator`."""
        return self

    async def __anext__(self) -> Record:
        """Return the next record. Without an end, wait for it for as long as the log is open.

        Raises:
            StopAsyncIteration: The end is reached, or the log was closed.
            OffsetOutOfRange: The record was removed before it was read, by retention say.
            UnknownTopicOrPartition: The topic was deleted.
            Unavailable: A store gave no answer; ask again.
            Corrupt: What is stored is not what was put there, or are no records.
        """
        while (record := next(self._ready, None)) is None:
            if not await self._fetch() and not await self._wait():
                raise StopAsyncIteration
        return record

    async def _fetch(self) -> bool:
        """Have records ready of the first partition that has some; False if none has."""
        if not self._lifetime.is_open:
            return False
        self._check_topic()
        for partition, offset in self._next.items():
            name = TopicPartition(self._topic, partition)
            if offset < self._end(name):
                batches = await self._log.fetch(name, Offset(offset), FETCH_BYTES_MAX)
                self._next[partition] = self._next.pop(partition)
                self._ready = self._records(partition, batches)
                return True
        return False

    async def _wait(self) -> bool:
        """Wait for a record; False if no more will come."""
        if self._ends is not None:
            return False
        names = [TopicPartition(self._topic, partition) for partition in self._next]
        with self._log.watch(names) as watch, self._lifetime.waiting(watch):
            while self._lifetime.is_open:
                if await self._fetch():
                    return True
                await watch.wait()
        return False

    def _end(self, name: TopicPartition) -> int:
        if self._ends is not None:
            return self._ends[name.partition]
        return self._log.state.end_offset(name)

    def _check_topic(self) -> None:
        topic = self._log.state.topics.get(self._topic)
        if topic is None or topic.topic_id != self._topic_id:
            raise UnknownTopicOrPartition(f"the topic {self._topic} was deleted")

    def _records(self, partition: int, batches: Sequence[RecordBatch]) -> Iterator[Record]:
        end = None if self._ends is None else self._ends[partition]
        for batch in batches:
            # Appended as a whole, so that an end is never amid a batch.
            if batch.base_offset == end:
                return
            for record in _records_of(self._topic, partition, batch):
                if record.offset >= self._next[partition]:
                    self._next[partition] = record.offset + 1
                    yield record
            self._next[partition] = batch.last_offset + 1


def _records_of(topic: str, partition: int, batch: RecordBatch) -> Iterator[Record]:
    try:
        for delta, (timestamp_ms, key, value, headers) in decode_batch(batch.data):
            offset = batch.base_offset + delta
            if offset <= batch.last_offset:
                yield Record(topic, partition, offset, timestamp_ms, key, value, tuple(headers))
    except InvalidRequest as error:
        raise Corrupt(
            f"the batch at offset {batch.base_offset} of {topic}, partition {partition}, was stored"
            f" as its producer sent it, and cannot be read: {error}"
        ) from error
