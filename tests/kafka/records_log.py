"""What stands in for a log where records matter: partitions in lists, failures on demand."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from tidings.core.results import Placed, Result
from tidings.engine.log import NewBatch
from tidings.engine.reader import RecordBatch
from tidings.errors import OffsetOutOfRange, TidingsError
from tidings.kafka.record_batch import read_header
from tidings.types import Offset, TopicPartition


@dataclass
class Topic:
    topic_id: bytes
    partition_count: int
    configs: dict[str, str] = field(default_factory=dict)


class RecordsState:
    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.topic_ids: dict[bytes, str] = {}
        self.batches: dict[TopicPartition, list[RecordBatch]] = {}
        self.log_starts: dict[TopicPartition, Offset] = {}

    def has_partition(self, name: TopicPartition) -> bool:
        topic = self.topics.get(name.topic)
        return topic is not None and 0 <= name.partition < topic.partition_count

    def end_offset(self, name: TopicPartition) -> Offset:
        batches = self.batches.get(name)
        return Offset(batches[-1].last_offset + 1) if batches else Offset(0)

    def log_start_offset(self, name: TopicPartition) -> Offset:
        return self.log_starts.get(name, Offset(0))


class RecordsWatch:
    def __init__(self, log: "RecordsLog", names: Sequence[TopicPartition]) -> None:
        self._log = log
        self.names = names
        self.stirred = asyncio.Event()

    def __enter__(self) -> "RecordsWatch":
        self._log.watches.append(self)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._log.watches.remove(self)

    async def wait(self) -> None:
        await self.stirred.wait()
        self.stirred.clear()


class RecordsLog:
    """A log of topics `a`, `b`, … with so many partitions each."""

    def __init__(self, **partition_counts: int) -> None:
        self.state = RecordsState()
        self.watches: list[RecordsWatch] = []
        self.appended: list[Sequence[NewBatch]] = []
        # What reads and appends meet from now on.
        self.error: TidingsError | None = None
        # What the next appended batches get instead of offsets.
        self.refusals: list[Result] = []
        # Of each append where its results go.
        self.waiting: list[asyncio.Future[list[Result]]] = []
        # Whether an append that meets the error is refused before it waits for anything.
        self.refuses_at_once = False
        self.is_stuck = False
        self.fetches = 0
        self.barriers = 0
        self.next_producer_id = 1000
        # Called before a fetch looks.
        self.before_fetch: Callable[[], None] = lambda: None
        for number, (name, partition_count) in enumerate(partition_counts.items()):
            topic_id = (number + 1).to_bytes(16, "big")
            self.state.topics[name] = Topic(topic_id, partition_count)
            self.state.topic_ids[topic_id] = name

    def add(self, name: TopicPartition, data: bytes) -> Offset:
        """Append a batch at once."""
        base = self.state.end_offset(name)
        last = Offset(base + read_header(data).last_offset_delta)
        self.state.batches.setdefault(name, []).append(RecordBatch(base, last, 0, data))
        for watch in self.watches:
            if name in watch.names:
                watch.stirred.set()
        return base

    def append_soon(self, batches: Sequence[NewBatch]) -> asyncio.Future[list[Result]]:
        self.appended.append(batches)
        results: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self.waiting.append(results)
        if self.error and self.refuses_at_once:
            raise self.error
        if self.error:
            results.set_exception(self.error)
        elif not self.is_stuck:
            results.set_result([self._result(batch) for batch in batches])
        return results

    def _result(self, batch: NewBatch) -> Result:
        if self.refusals:
            return self.refusals.pop(0)
        return Placed(self.add(batch.partition, batch.data))

    async def fetch(
        self, name: TopicPartition, offset: Offset, size_bytes_max: int
    ) -> list[RecordBatch]:
        self.fetches += 1
        self.before_fetch()
        if self.error:
            raise self.error
        if not self.state.log_start_offset(name) <= offset <= self.state.end_offset(name):
            raise OffsetOutOfRange(f"{offset}")
        found: list[RecordBatch] = []
        for batch in self.state.batches.get(name, []):
            size_bytes_max -= len(batch.data) if batch.last_offset >= offset else 0
            if found and size_bytes_max < 0:
                break
            found += [batch] if batch.last_offset >= offset else []
        return found

    async def batch_for_time(self, name: TopicPartition, timestamp_ms: int) -> RecordBatch | None:
        start = self.state.log_start_offset(name)
        for batch in self.state.batches.get(name, []):
            late = read_header(batch.data).max_timestamp_ms >= timestamp_ms
            if late and batch.last_offset >= start:
                return batch
        return None

    async def newest_batch_by_time(self, name: TopicPartition) -> RecordBatch | None:
        batches = self.state.batches.get(name, [])
        return max(
            batches, key=lambda batch: read_header(batch.data).max_timestamp_ms, default=None
        )

    def watch(self, names: Sequence[TopicPartition]) -> RecordsWatch:
        return RecordsWatch(self, names)

    async def barrier(self) -> None:
        self.barriers += 1
        if self.error:
            raise self.error

    async def delete_records(self, name: TopicPartition, before: Offset) -> Offset:
        if self.is_stuck:
            await asyncio.Event().wait()
        start = max(before, self.state.log_start_offset(name))
        self.state.log_starts[name] = start
        return start

    async def allocate_producer_id(self) -> int:
        if self.error:
            raise self.error
        self.next_producer_id += 1
        return self.next_producer_id
