"""Clients of a broker that dies again and again: confluent-kafka, each in a thread of its own.

Each works until it is told to stop, and notes what it does and what it is told. A record's value
says which message it is, and can be told from a damaged one.
"""

import logging
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from chaos_history import Recorder
from chaos_judge import IDEMPOTENT, ONCE, RETRYING
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tidings.types import Json

PATIENCE_S = 120.0
"""How long a client waits for what must come while the broker lives."""

ANSWER_MS = 120_000
"""So long a client waits for an answer on a connection that is open: on one machine requests end
with their connection, and not because the machine is slow."""

PARTITIONS = 2
"""Of each topic."""

SLOTS = 20
"""Records of one producer that are on their way at once."""

LARGE_SHARE = 0.02
"""Of the records: larger than what is kept inline, so that blobs are written too."""
LARGE_BYTES = 150_000

POLL_RECORDS_MAX = 200

_quiet = logging.getLogger("chaos.librdkafka")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False

_CLIENT: dict[str, Any] = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "log.connection.close": False,
    "logger": _quiet,
    "error_cb": lambda _: None,
}

_NEVER_GIVE_UP = {
    "message.timeout.ms": 600_000,
    "message.send.max.retries": 1_000_000,
}

_PRODUCERS: dict[str, dict[str, Any]] = {
    IDEMPOTENT: {**_NEVER_GIVE_UP, "enable.idempotence": True},
    RETRYING: {**_NEVER_GIVE_UP, "enable.idempotence": False},
    ONCE: {"enable.idempotence": False, "message.send.max.retries": 0, "message.timeout.ms": 5000},
}
"""By topic, how those who produce to it do it."""

TOPICS = tuple(_PRODUCERS)

Key = tuple[str, int]
"""A partition: its topic and number."""

KEYS: tuple[Key, ...] = tuple(
    (topic, partition) for topic in TOPICS for partition in range(PARTITIONS)
)


class Work(NamedTuple):
    """What every client is given."""

    address: str
    """One or more `HOST:PORT`, with commas between them."""
    recorder: Recorder
    stop: threading.Event
    answer_ms: int = ANSWER_MS
    """A request without an answer for so long is taken for lost, and its connection too."""


def key_of(topic: str, partition: int) -> str:
    """Return what the history calls a partition."""
    return f"{topic}/{partition}"


def to_value(message: int, size_bytes: int) -> bytes:
    """Return the value of a record, at least so large."""
    text = b"%d " % message
    text += b"." * (size_bytes - len(text))
    return b"%08x " % zlib.crc32(text) + text


def to_message(value: bytes | None) -> Json:
    """Return which message a value is; a damaged one is none that anybody sent."""
    checksum, _, text = (value or b"").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return f"damaged: {value!r:.60}"
    return int(text.partition(b" ")[0])


class ProducerClient:
    """Produces to the partitions of one topic."""

    def __init__(
        self,
        work: Work,
        topic: str,
        rng: Random,
        rate: float,
        life_s: float,
        *,
        open_: Callable[[Work, str, int], Any] | None = None,
    ) -> None:
        """About `rate` records a second; after `life_s` the producer is closed for a new one.

        `open_` is what makes producers, `open_producer` or what does as it does.
        """
        self._open = open_ or open_producer
        self._work = work
        self._topic = topic
        self._rng = rng
        self._rate = rate
        self._life_s = life_s
        self._idle = [work.recorder.new_process() for _ in range(SLOTS)]

    def run(self) -> None:
        """Produce until told to stop; then wait for what is on its way."""
        while not self._work.stop.is_set():
            producer = self._open(self._work, self._topic, self._rng.choice([0, 5]))
            self._produce(producer, time.perf_counter() + self._life_s * self._rng.random() * 2)
            producer.flush(PATIENCE_S)
            if len(self._idle) < SLOTS:
                self._work.recorder.complain(f"a producer to {self._topic} got no answer")
                return

    def _produce(self, producer: Any, end_s: float) -> None:
        while not self._work.stop.is_set() and time.perf_counter() < end_s:
            for _ in range(self._rng.randint(1, max(1, len(self._idle)))):
                if self._idle:
                    self._send(producer)
            # Together with the rate this makes bursts, which end up in one batch, and pauses.
            pause_s = self._rng.expovariate(self._rate / (SLOTS / 4))
            resume_s = time.perf_counter() + min(pause_s, 1.0)
            while producer.poll(0.005) or time.perf_counter() < resume_s:
                pass

    def _send(self, producer: Any) -> None:
        recorder = self._work.recorder
        process, message = self._idle.pop(), recorder.new_message()
        partition = self._rng.randrange(PARTITIONS)
        key = key_of(self._topic, partition)
        size = LARGE_BYTES if self._rng.random() < LARGE_SHARE else self._rng.randint(10, 400)

        def delivered(error: Any, record: Any) -> None:
            if error is None:
                value: Json = [["send", key, [record.offset(), message]]]
                recorder.note("ok", process, "send", value)
                self._idle.append(process)
            else:
                # Whoever does not know goes on as another.
                recorder.note("info", process, "send", [["send", key, message]], str(error))
                self._idle.append(recorder.new_process())

        recorder.note("invoke", process, "send", [["send", key, message]])
        value = to_value(message, size)
        producer.produce(self._topic, value, partition=partition, on_delivery=delivered)


def open_producer(work: Work, topic: str, linger_ms: int) -> Producer:
    """Return a producer that does as those to this topic do."""
    settings = {**_settings(work), **_PRODUCERS[topic], "request.timeout.ms": work.answer_ms}
    return Producer({**settings, "linger.ms": linger_ms})


class _Polls:
    """Notes what one consumer polls, as one process after the other."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._polled: dict[str, Json] = {}
        self._is_open = False
        self.process = recorder.new_process()
        self.next: dict[Key, int] = {}
        """The offset behind the last record polled."""

    def become_another(self, f: str, partitions: Sequence[Any]) -> None:
        """Be a new process, which begins with an assignment."""
        was_open = self._is_open
        self.end()
        self.process = self._recorder.new_process()
        self.next = {}
        keys: Json = [key_of(each.topic, each.partition) for each in partitions]
        self._recorder.note("invoke", self.process, f, keys)
        self._recorder.note("ok", self.process, f, keys)
        if was_open:
            self.begin()

    def begin(self) -> None:
        """A poll begins."""
        self._recorder.note("invoke", self.process, "poll", [["poll"]])
        self._polled, self._is_open = {}, True

    def add(self, record: Any) -> None:
        """The poll got a record, or was told of an error that the client cannot get over."""
        if record.error() is None:
            records = self._polled.setdefault(key_of(record.topic(), record.partition()), [])
            records.append([record.offset(), to_message(record.value())])
            self.next[record.topic(), record.partition()] = record.offset() + 1
        elif record.error().name() in _NEVER:
            self._recorder.complain(f"a consumer was told {record.error()}")

    def end(self) -> None:
        """The poll ends; what it got is known."""
        if self._is_open:
            self._recorder.note("ok", self.process, "poll", [["poll", self._polled]])
        self._is_open = False


_NEVER = ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "_BAD_MSG", "_FATAL")
"""Errors that no consumer here should get, whenever the broker dies."""


class ReaderClient:
    """Reads all partitions; now and then again, from somewhere before."""

    def __init__(
        self,
        work: Work,
        rng: Random,
        life_s: float,
        open_: Callable[[Work], Any] | None = None,
    ) -> None:
        """`open_` is what makes consumers, `open_reader` or what does as it does."""
        self._open = open_ or open_reader
        self._work = work
        self._rng = rng
        self._life_s = life_s
        self._polls = _Polls(work.recorder)

    def run(self) -> None:
        """Read until told to stop."""
        while not self._work.stop.is_set():
            self._read(time.perf_counter() + self._life_s * self._rng.random() * 2)

    def _read(self, end_s: float) -> None:
        consumer = self._open(self._work)
        starts = {key: self._rng.randint(0, self._polls.next.get(key, 0)) for key in KEYS}
        places = [TopicPartition(*key, start) for key, start in starts.items()]
        consumer.assign(places)
        self._polls.become_another("assign", places)
        while not self._work.stop.is_set() and time.perf_counter() < end_s:
            self._polls.begin()
            for record in consumer.consume(POLL_RECORDS_MAX, 0.2):
                self._polls.add(record)
            self._polls.end()
        consumer.close()


def open_reader(work: Work) -> Consumer:
    """Return a consumer that reads where it is told to."""
    return _open(work, "readers", {"auto.offset.reset": "error"})


class MemberClient:
    """A member of a group, which commits what it has polled; now and then it leaves."""

    def __init__(self, work: Work, rng: Random, life_s: float) -> None:
        self._work = work
        self._rng = rng
        self._life_s = life_s
        self._polls = _Polls(work.recorder)

    def run(self) -> None:
        """Be a member until told to stop."""
        while not self._work.stop.is_set():
            settings = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
            consumer = _open(self._work, GROUP, settings)
            consumer.subscribe(list(TOPICS), on_assign=self._assigned, on_revoke=self._revoked)
            end_s = time.perf_counter() + self._life_s * self._rng.random() * 2
            while not self._work.stop.is_set() and time.perf_counter() < end_s:
                self._poll(consumer)
                if self._rng.random() < 0.5:
                    self._commit(consumer)
            consumer.close()

    def _assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        del consumer
        self._polls.become_another("subscribe", partitions)

    def _revoked(self, consumer: Any, partitions: Sequence[Any]) -> None:
        del consumer, partitions
        self._polls.next = {}

    def _poll(self, consumer: Consumer) -> None:
        self._polls.begin()
        for _ in range(self._rng.randint(1, POLL_RECORDS_MAX)):
            record = consumer.poll(0.1)
            if record is None:
                break
            self._polls.add(record)
        self._polls.end()

    def _commit(self, consumer: Consumer) -> None:
        places = [TopicPartition(*key, offset) for key, offset in self._polls.next.items()]
        if not places:
            return
        value: Json = {key_of(place.topic, place.partition): place.offset for place in places}
        process, recorder = self._polls.process, self._work.recorder
        recorder.note("invoke", process, "commit", value)
        try:
            done = consumer.commit(offsets=places, asynchronous=False)
            failed = [str(place.error) for place in done if place.error is not None]
        except KafkaException as error:
            failed = [str(error)]
        recorder.note(
            "info" if failed else "ok", process, "commit", value, "; ".join(failed) or None
        )


class ObserverClient:
    """Asks what the group has committed."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def run(self) -> None:
        """Ask until told to stop."""
        consumer = _open(self._work, GROUP)
        while not self._work.stop.wait(0.2):
            ask_committed(self._work.recorder, consumer, 2.0)
        consumer.close()


def ask_committed(recorder: Recorder, consumer: Consumer, patience_s: float) -> bool:
    """Ask once, as a new process; return whether there was an answer."""
    process = recorder.new_process()
    keys: Json = dict.fromkeys((key_of(*key) for key in KEYS), 0)
    recorder.note("invoke", process, "committed", keys)
    try:
        told = consumer.committed([TopicPartition(*key) for key in KEYS], patience_s)
    except KafkaException as error:
        recorder.note("fail", process, "committed", None, str(error))
        return False
    if any(place.error is not None for place in told):
        recorder.note("fail", process, "committed", None, str([place.error for place in told]))
        return False
    value: Json = {key_of(place.topic, place.partition): max(place.offset, 0) for place in told}
    recorder.note("ok", process, "committed", value)
    return True


def read_everything(work: Work) -> None:
    """Read all partitions from their beginning to their end, as a new process."""
    recorder = work.recorder
    consumer = open_reader(work)
    places = [TopicPartition(*key, OFFSET_BEGINNING) for key in KEYS]
    ends = {key: _end_offset(consumer, key) for key in KEYS}
    consumer.assign(places)
    polls = _Polls(recorder)
    polls.become_another("assign", places)
    end_s = time.perf_counter() + PATIENCE_S
    while any(polls.next.get(key, 0) < end for key, end in ends.items()):
        if time.perf_counter() > end_s:
            recorder.complain(f"the end could not be reached: got to {polls.next} of {ends}")
            break
        polls.begin()
        for record in consumer.consume(POLL_RECORDS_MAX, 1.0):
            polls.add(record)
        polls.end()
    if not ask_committed(recorder, _open(work, GROUP), PATIENCE_S):
        recorder.complain("nobody tells what the group has committed")
    consumer.close()


def _end_offset(consumer: Consumer, key: Key) -> int:
    """Return where a partition ends; asks again when a connection is lost, as clients should."""
    end_s = time.perf_counter() + PATIENCE_S
    while True:
        try:
            ends: tuple[int, int] = consumer.get_watermark_offsets(
                TopicPartition(*key), timeout=PATIENCE_S
            )
        except KafkaException:
            if time.perf_counter() > end_s:
                raise
            time.sleep(0.5)
        else:
            return ends[1]


def create_topics(address: str, names: Sequence[str], partition_count: int) -> None:
    """Create topics; returns when that is acknowledged."""
    admin = AdminClient({**_CLIENT, "bootstrap.servers": address})
    topics = [NewTopic(name, num_partitions=partition_count) for name in names]
    for created in admin.create_topics(topics).values():
        created.result(PATIENCE_S)


GROUP = "members"


def open_consumer(address: str, group: str, settings: dict[str, Any]) -> Consumer:
    """Return a consumer that commits when it is told to."""
    return Consumer(
        {
            **_CLIENT,
            "socket.timeout.ms": ANSWER_MS,
            "bootstrap.servers": address,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            **settings,
        }
    )


def _open(work: Work, group: str, settings: dict[str, Any] | None = None) -> Consumer:
    return open_consumer(work.address, group, {**_settings(work), **(settings or {})})


def _settings(work: Work) -> dict[str, Any]:
    return {
        **_CLIENT,
        "bootstrap.servers": work.address,
        "socket.timeout.ms": work.answer_ms,
        "socket.connection.setup.timeout.ms": min(work.answer_ms, 30_000),
    }
