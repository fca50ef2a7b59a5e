"""Starts brokers as processes of their own: Tidings, Apache Kafka, kfake. Each on the loopback."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import fetched

START_TIMEOUT_S = 60.0
"""How long a broker may take until it can be connected to; Java on a busy machine takes 10."""

STOP_TIMEOUT_S = 15.0
"""How long a broker may take to end when it is told to; after that it is killed."""

HEAP = "-Xmx1g"

_LOOK_AGAIN_S = 0.002
"""Short, so that start-up can be measured."""


class Broker:
    """A broker that runs."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], started_s: float) -> None:
        """`started_s` is when it was started, as `time.perf_counter` tells time."""
        self.address = address
        self.process = process
        self.started_s = started_s


@contextlib.contextmanager
def tidings(*options: str, advertise: str | None = None) -> Iterator[Broker]:
    """Run Tidings, in memory unless the options name a folder; records of any age stay."""
    port = free_port()
    command = [sys.executable, "-m", "tidings", "serve", "--port", str(port), *options]
    command += ["--retention-ms", "-1"]
    if "--data" not in options:
        command.append("--memory")
    if advertise:
        command += ["--advertise", advertise]
    with _running(command, port) as broker:
        yield broker


@contextlib.contextmanager
def kafka(*, advertise: str | None = None, settings: Sequence[str] = ()) -> Iterator[Broker]:
    """Run Apache Kafka: one node, KRaft, a folder of its own.

    Args:
        advertise: HOST:PORT that clients are told to connect to.
        settings: More lines for its properties, as `log.flush.interval.messages=1`.

    Raises:
        Missing: See `fetched.kafka_jars`.
    """
    java = [fetched.program("java"), HEAP, "-cp", f"{fetched.kafka_jars()}/*"]
    with tempfile.TemporaryDirectory(prefix="tidings-kafka-") as folder:
        port = free_port()
        properties = Path(folder) / "server.properties"
        lines = [*_kafka_properties(folder, port, advertise or f"127.0.0.1:{port}"), *settings]
        properties.write_text("\n".join(lines) + "\n")
        identity = ["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config", str(properties)]
        formatting = [*java, "kafka.tools.StorageTool", "format", *identity]
        subprocess.run(formatting, check=True, capture_output=True, timeout=START_TIMEOUT_S)
        with _running([*java, "kafka.Kafka", str(properties)], port) as broker:
            yield broker


def _kafka_properties(folder: str, port: int, advertise: str) -> list[str]:
    controller = free_port()
    return [
        "process.roles=broker,controller",
        "node.id=1",
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners=PLAINTEXT://{advertise}",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={folder}/data",
        "offsets.topic.replication.factor=1",
        # Fifty would be made at the first group, for seconds.
        "offsets.topic.num.partitions=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "group.initial.rebalance.delay.ms=0",
        # As for Tidings.
        "log.retention.ms=-1",
    ]


@contextlib.contextmanager
def kfake(folder: str | None = None) -> Iterator[Broker]:
    """Run kfake, in memory, or on a folder with a sync for each write.

    Raises:
        Missing: See `fetched.kfake`.
    """
    port = free_port()
    command = [str(fetched.kfake()), str(port)]
    if folder:
        command.append(folder)
    with _running(command, port) as broker:
        yield broker


@contextlib.contextmanager
def tansu() -> Iterator[Broker]:
    """Run Tansu, in memory.

    Raises:
        Missing: See `fetched.tansu`.
    """
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    where = ["--listener-url", url, "--advertised-listener-url", url]
    storage = ["--storage-engine", "memory://tansu/"]
    with _running([str(fetched.tansu()), "broker", *where, *storage], port) as broker:
        yield broker


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[Broker]:
    with tempfile.TemporaryFile() as output:
        started_s = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=_as_users()
        )
        try:
            _await_port(process, port, output)
            yield Broker(f"127.0.0.1:{port}", process, started_s)
        finally:
            _stop(process)


def _as_users() -> dict[str, str]:
    """Return an environment in which Python keeps what it compiled, as it does by default.

    Who develops may have told it not to; then half of the start-up is compiling, every time.
    """
    kept = dict(os.environ)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def _await_port(process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S  # noqa: TID251 -- a real process, in real time
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        late = time.monotonic() > deadline  # noqa: TID251 -- as above
        if late or process.poll() is not None:
            output.seek(0)
            told = output.read()[-2000:].decode(errors="replace")
            raise AssertionError(f"{process.args!r} cannot be connected to; it printed:\n{told}")
        time.sleep(_LOOK_AGAIN_S)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
