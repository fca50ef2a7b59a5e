"""Kafka's own client, in Java, behind those methods of confluent-kafka that `chaos_clients` uses.

Each producer and consumer is a process (`Remote.java`) that is told what to do line by line. A
send begins here before it is told, and ends here after it was answered: the history is true.
"""

import base64
import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import fetched
from chaos_clients import POLL_RECORDS_MAX, TOPICS, ProducerClient, ReaderClient, Work
from chaos_judge import IDEMPOTENT, ONCE, RETRYING
from chaos_load import Load

_PRODUCERS: dict[str, dict[str, Any]] = {
    # Never gives up, as Java's own defaults do but for the time.
    IDEMPOTENT: {"enable.idempotence": True, "delivery.timeout.ms": 600_000},
    RETRYING: {"enable.idempotence": False, "acks": "all", "delivery.timeout.ms": 600_000},
    ONCE: {"enable.idempotence": False, "acks": "all", "retries": 0},
}

LIFE_S = 60.0
"""How long a client lives, about: it takes a while to start."""

END_PATIENCE_S = 15.0
"""How long a client may take to close."""

Delivered = Callable[[Any, Any], None]


def java_command() -> list[str]:
    """Return the command that runs the client, before its arguments.

    Raises:
        Missing: There is no Java, or the registry is out of reach.
    """
    path = f"{fetched.java_client()}:{fetched.kafka_jars()}/*"
    frugal = ["-XX:TieredStopAtLevel=1", "-Xmx128m"]
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [fetched.program("java"), *frugal, quiet, "-cp", path, "Remote"]


class JavaRecord(NamedTuple):
    """A record as confluent-kafka shows it, or why there is none."""

    place: tuple[str, int, int]
    data: bytes = b""
    why: "JavaError | None" = None

    def error(self) -> "JavaError | None":
        """Why there is no record."""
        return self.why

    def topic(self) -> str:
        """Its topic."""
        return self.place[0]

    def partition(self) -> int:
        """Its partition."""
        return self.place[1]

    def offset(self) -> int:
        """Its offset."""
        return self.place[2]

    def value(self) -> bytes:
        """Its value."""
        return self.data


class JavaError(NamedTuple):
    """An error that a Java client told."""

    text: str

    def name(self) -> str:
        """No consumer here should get any."""
        return "_FATAL"

    def __str__(self) -> str:
        return self.text


class _Process:
    """A client as a process; its answers are read all the time, or its pipe would fill."""

    def __init__(self, kind: str, settings: Mapping[str, Any], errors: Path) -> None:
        words = [f"{name}={value}" for name, value in settings.items()]
        with errors.open("ab") as log:
            self._process = subprocess.Popen(
                [*java_command(), kind, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.answers.put(line.rstrip("\n"))
        # What waits for an answer is told that there will be none.
        self.answers.put("error nothing more: the client has ended")

    def tell(self, line: str) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def end(self, patience_s: float) -> bool:
        """End its input, and wait until it has ended; kill it when it does not."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with self._process:
            self._reader.join()
        return self._process.returncode == 0


class JavaProducer:
    """A `KafkaProducer`."""

    def __init__(self, settings: Mapping[str, Any], errors: Path) -> None:
        """`settings` are those of the Java client; what it complains of goes to `errors`."""
        self._process = _Process("producer", settings, errors)
        self._waiting: dict[str, Delivered] = {}
        self._count = 0

    def produce(self, topic: str, value: bytes, partition: int, on_delivery: Delivered) -> None:
        """Send a record; `poll` and `flush` tell what became of it."""
        token = str(self._count)
        self._count += 1
        self._waiting[token] = on_delivery
        encoded = base64.b64encode(value).decode()
        self._process.tell(f"{token} {topic} {partition} {encoded}")

    def poll(self, seconds: float) -> int:
        """Wait so long for an answer; tell it to whoever waits; return how many there were."""
        try:
            self._take(self._process.answers.get(timeout=seconds))
        except queue.Empty:
            return 0
        return 1

    def _take(self, answer: str) -> None:
        outcome, token, told = answer.split(" ", 2)
        delivered = self._waiting.pop(token, None)
        if delivered is None:
            return
        if outcome == "ok":
            delivered(None, JavaRecord(("", 0, int(told))))
        else:
            delivered(JavaError(told), None)

    def flush(self, seconds: float) -> None:
        """Wait until everything was answered, and end."""
        end_s = time.perf_counter() + seconds
        while self._waiting and (left_s := end_s - time.perf_counter()) > 0:
            self.poll(left_s)
        self._process.end(END_PATIENCE_S)


class JavaConsumer:
    """A `KafkaConsumer` that reads where it is told to."""

    def __init__(self, settings: Mapping[str, Any], errors: Path) -> None:
        """`settings` are those of the Java client; what it complains of goes to `errors`."""
        self._process = _Process("consumer", settings, errors)

    def assign(self, places: Sequence[Any]) -> None:
        """Read these partitions, from their offsets on."""
        words = [f"{place.topic}:{place.partition}:{place.offset}" for place in places]
        self._process.tell(f"assign {' '.join(words)}")

    def consume(self, count: int, seconds: float) -> list[JavaRecord]:
        """Poll once; `count` is a setting of the Java client."""
        del count
        self._process.tell(f"poll {seconds * 1000:.0f}")
        return list(self._answers())

    def _answers(self) -> Iterator[JavaRecord]:
        while (answer := self._process.answers.get()) != "done":
            what, rest = answer.split(" ", 1)
            if what == "error":
                yield JavaRecord(("", 0, 0), why=JavaError(rest))
                return
            topic, partition, offset, value = rest.split(" ")
            place = topic, int(partition), int(offset)
            yield JavaRecord(place, base64.b64decode(value))

    def close(self) -> None:
        """End it."""
        self._process.end(END_PATIENCE_S)


def open_java_producer(errors: Path, work: Work, topic: str, linger_ms: int) -> JavaProducer:
    """Return a producer to a topic, as `chaos_clients.open_producer` does."""
    settings: dict[str, Any] = {
        **_settings(work),
        **_PRODUCERS[topic],
        "linger.ms": linger_ms,
        "max.block.ms": 600_000,
    }
    # Java refuses less.
    settings.setdefault("delivery.timeout.ms", work.answer_ms + linger_ms)
    return JavaProducer(settings, errors)


def open_java_reader(errors: Path, work: Work) -> JavaConsumer:
    """Return a consumer that reads where it is told to, as `chaos_clients.open_reader` does."""
    settings = {
        **_settings(work),
        "auto.offset.reset": "none",
        "enable.auto.commit": False,
        "max.poll.records": POLL_RECORDS_MAX,
        "default.api.timeout.ms": 600_000,
    }
    return JavaConsumer(settings, errors)


def _settings(work: Work) -> dict[str, Any]:
    return {
        "bootstrap.servers": work.address,
        "request.timeout.ms": work.answer_ms,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 200,
        "enable.metrics.push": False,
    }


def java_clients(work: Work, load: Load, errors: Path) -> Iterator[ProducerClient | ReaderClient]:
    """Yield a producer to each topic, and a reader, which work beside those of `chaos_load`."""
    producer, reader = partial(open_java_producer, errors), partial(open_java_reader, errors)
    for topic in TOPICS:
        rng = Random(f"{load.seed}/java/{topic}")
        yield ProducerClient(work, topic, rng, load.rate, LIFE_S, open_=producer)
    yield ReaderClient(work, Random(f"{load.seed}/java/reader"), LIFE_S, reader)
