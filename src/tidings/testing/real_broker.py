"""A real broker inside the process of a test: what `tidings.testing.broker` starts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tidings.embedded import EmbeddedLog, NewRecord, Record
from tidings.kafka.settings import BrokerSettings
from tidings.testing.broker_thread import BrokerThread
from tidings.testing.faults import Fault, Kind, code_of_name

HOST = "127.0.0.1"


@contextmanager
def running_broker(
    data: str | os.PathLike[str] | None, *, partitions: int, auto_create_topics: bool
) -> Iterator["RunningBroker"]:
    """Run a broker until the block ends; see `tidings.testing.broker`."""
    settings = BrokerSettings(
        host=HOST,
        port=0,
        num_partitions=partitions,
        auto_create_topics=auto_create_topics,
        # Tests write records of long ago, and let members of groups fall silent for a moment.
        retention_ms=-1,
        group_session_timeout_min_ms=1,
        shutdown_patience_s=0,
    )
    thread = BrokerThread(settings, None if data is None else Path(data))
    thread.start()
    try:
        yield RunningBroker(thread)
    finally:
        thread.stop()


class RunningBroker:
    """A broker that runs. Every method may be called from any thread, and blocks for a moment.

    `api` is Kafka's name of a kind of request: Produce, Fetch, OffsetCommit, JoinGroup, ….
    """

    def __init__(self, thread: BrokerThread) -> None:
        """Speak for a broker that has been started."""
        self._thread = thread

    @property
    def bootstrap_servers(self) -> str:
        """`HOST:PORT`, as clients want it. It stays the same as long as the broker runs."""
        return f"{HOST}:{self._thread.port}"

    # What is in it ------------------------------------------------------------------------------

    def create_topic(
        self, topic: str, partitions: int = 1, *, configs: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic, unless it exists.

        Raises:
            InvalidRequest: The name, the number of partitions or a config is refused.
        """
        self._thread.call(lambda log: log.create_topic(topic, partitions, configs=configs))

    def append(
        self, topic: str, records: Sequence[NewRecord | bytes], *, partition: int | None = None
    ) -> list[Record]:
        """Put records into a topic, without a client; return them as they are in the log.

        Raises:
            UnknownTopicOrPartition: There is no such topic or partition.
            InvalidRequest: The topic does not take one of them.
        """
        return self._thread.call(lambda log: log.append_many(topic, records, partition=partition))

    def records(self, topic: str) -> list[Record]:
        """Return all records of a topic, without a client: partition by partition, in order.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """

        async def read(log: EmbeddedLog) -> list[Record]:
            found = [record async for record in log.read(topic)]
            return sorted(found, key=lambda record: (record.partition, record.offset))

        return self._thread.call(read)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the next offset that a group reads, of each partition that it committed.

        Raises:
            UnknownTopicOrPartition: There is no such topic.
        """
        return self._thread.call(lambda log: log.committed(group, topic))

    # Its lives ----------------------------------------------------------------------------------

    def reset(self) -> None:
        """Become a new, empty broker at the same address: no topics, groups, producers, faults.

        Connections are cut. In memory it takes a few milliseconds.
        """
        self._thread.begin_again(forgets=True)

    def restart(self) -> None:
        """End at once, and start again at the same address with what was stored."""
        self._thread.begin_again(forgets=False)

    # Faults -------------------------------------------------------------------------------------

    def delay(self, api: str, seconds: float, *, times: int = 1) -> Fault:
        """Carry out the next requests of an API, and answer them so much later."""
        return self._begin(Fault(Kind.DELAY, api, times, self._end, seconds=seconds))

    def fail(self, api: str, error: str, *, times: int = 1) -> Fault:
        """Answer the next requests with an error, by Kafka's name of it; do not carry them out."""
        code = code_of_name(error)
        return self._begin(Fault(Kind.ERROR, api, times, self._end, code=code))

    def drop(self, api: str, *, times: int = 1) -> Fault:
        """Lose the next requests, and all that follow on their connections, which stay open."""
        return self._begin(Fault(Kind.DROP, api, times, self._end))

    def cut(self, api: str, *, times: int = 1) -> Fault:
        """Cut the connections of the next requests before they are carried out."""
        return self._begin(Fault(Kind.CUT, api, times, self._end))

    def cut_before_reply(self, api: str, *, times: int = 1) -> Fault:
        """Carry out the next requests, and cut their connections instead of answering."""
        return self._begin(Fault(Kind.CUT_BEFORE_REPLY, api, times, self._end))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take requests, but do nothing with them, until the block ends."""
        faults = self._thread.faults
        self._thread.do(faults.pause)
        try:
            yield
        finally:
            self._thread.do(faults.go_on)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Have no room for anything new until the block ends; what is stored is served."""
        self._thread.disk.is_full = True
        try:
            yield
        finally:
            self._thread.disk.is_full = False

    def clear_faults(self) -> None:
        """Let no fault happen any more."""
        self._thread.disk.is_full = False
        self._thread.do(self._thread.faults.clear)

    def _begin(self, fault: Fault) -> Fault:
        self._thread.do(lambda: self._thread.faults.add(fault))
        return fault

    def _end(self, fault: Fault) -> None:
        self._thread.do(lambda: self._thread.faults.remove(fault))
