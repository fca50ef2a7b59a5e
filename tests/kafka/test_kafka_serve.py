"""The broker as a process: how it starts, answers, and ends."""

import json
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from broker_in_memory import read_response, request_frame
from kio.schema.errors import ErrorCode

from tidings.engine.settings import Settings
from tidings.kafka import serve
from tidings.kafka.schema import Entity
from tidings.kafka.settings import BrokerSettings

pytestmark = pytest.mark.real

PATIENCE_S = 60.0


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a broker; yield its process and port."""
    command = [sys.executable, "-m", "tidings", "serve", "--port", "0", *(options or ["--memory"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            match = re.fullmatch(r"Tidings \S+ listens on 127\.0\.0\.1:(\d+); .*\n", line)
            assert match, line
            yield process, int(match[1])
        finally:
            process.kill()


def ask(connection: socket.socket, module: str, version: int, **values: object) -> Entity:
    frame = request_frame(module, version, values)
    connection.sendall(len(frame).to_bytes(4, "big") + frame)
    answers = connection.makefile("rb")
    size = answers.read(4)
    return read_response(module, version, size + answers.read(int.from_bytes(size, "big")))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def test_serve_answers_and_ends_at_sigterm_with_a_client_connected() -> None:
    with serving() as (process, port), connect(port) as client:
        assert ask(client, "api_versions", 3).error_code == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert client.recv(1) == b""


def test_serve_ends_at_ctrl_c() -> None:
    with serving() as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_serve_on_a_port_in_use_says_what_to_do() -> None:
    with serving() as (_, port):
        command = [sys.executable, "-m", "tidings", "serve", "--memory", "--port", str(port)]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    assert ended.returncode == 2
    assert f"127.0.0.1:{port} already" in ended.stderr
    assert "--port" in ended.stderr


def test_serve_finds_in_its_folder_what_a_killed_broker_acknowledged(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"))
    with serving(*options) as (process, port), connect(port) as client:
        created = ask(client, "metadata", 12, topics=[{"name": "news"}])
        process.kill()
        process.wait(PATIENCE_S)
    with serving(*options) as (_, port), connect(port) as client:
        found = ask(client, "metadata", 12, topics=None)
    assert found.topics == created.topics
    assert found.topics[0].error_code == ErrorCode.none
    assert found.cluster_id == created.cluster_id


def test_serve_on_a_folder_in_use_says_by_whom(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path)) as (process, _):
        command = [sys.executable, "-m", "tidings", "serve", "--port", "0", "--data", str(tmp_path)]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    assert ended.returncode == 1
    assert f"in use by process {process.pid}" in ended.stderr


def test_serve_on_a_damaged_folder_says_what_is_wrong_and_what_tells_more(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving("--data", str(data)) as (process, port), connect(port) as client:
        assert ask(client, "metadata", 12, topics=[{"name": "news"}]).topics
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    journal = apsw.Connection(str(data / "journal.sqlite"))
    journal.execute("UPDATE slot SET entry = x'00' WHERE slot = 0")
    journal.close()
    command = [sys.executable, "-m", "tidings", "serve", "--port", "0", "--data", str(data)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert "slot 0 is damaged" in ended.stderr
    assert f"`tidings verify {data}`" in ended.stderr
    assert "Exception" not in ended.stderr


def test_serve_allows_itself_more_files_than_a_shell_does() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
    try:
        with serving() as (process, _):
            limits = Path(f"/proc/{process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(line.split()[3]) == min(before[1], 21_000)


IDLE_CONNECTIONS = 10_000
BYTES_OF_AN_IDLE_CONNECTION_MAX = 8 * 1024


@contextmanager
def more_files() -> Iterator[int]:
    """Have as many files as this process may; yield how many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident_bytes(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_ten_thousand_idle_clients_cost_little_and_harm_nobody() -> None:
    with more_files() as files_max, serving() as (process, port), ExitStack() as stack:
        before = resident_bytes(process)
        # Where a process may have fewer files, there are fewer clients.
        count = min(IDLE_CONNECTIONS, files_max - 1000)
        idle = [stack.enter_context(connect(port)) for _ in range(count)]
        for each in idle[::2]:
            each.sendall(b"\0\0\1\0a")
        with connect(port) as client:
            assert ask(client, "metadata", 12, topics=[{"name": "news"}]).topics
        assert ask(idle[1], "api_versions", 3).error_code == 0
        assert resident_bytes(process) - before < count * BYTES_OF_AN_IDLE_CONNECTION_MAX
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_engine_is_told_how_long_records_are_kept() -> None:
    told = serve.engine_settings(BrokerSettings(retention_ms=-1, retention_bytes=7))
    assert (told.retention_ms, told.retention_bytes, told.retention_interval_s) == (-1, 7, 300)


def caches(told: Settings) -> tuple[int, int, int, int]:
    """Return how much of entries, blobs, blobs that were stored of late, and pages is kept."""
    return (
        told.entry_cache_bytes,
        told.blob_cache_bytes,
        told.fresh_blob_bytes,
        told.page_cache_bytes,
    )


def test_engine_is_told_how_much_to_keep_in_memory() -> None:
    usual = serve.engine_settings(BrokerSettings())
    assert sum(caches(usual)) == BrokerSettings().cache_bytes_max
    told = serve.engine_settings(BrokerSettings(cache_bytes_max=900_000))
    assert caches(told) == (400_000, 300_000, 100_000, 100_000)


def long_fetch(client: socket.socket, wait_ms: int) -> None:
    """Ask for records that will not come."""
    partition = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}
    topics = [{"topic": "news", "partitions": [partition]}]
    values = {"max_wait": wait_ms, "min_bytes": 1, "max_bytes": 1000, "topics": topics}
    frame = request_frame("fetch", 12, values)
    client.sendall(len(frame).to_bytes(4, "big") + frame)


def stopped_with_a_fetch_at_work(wait_ms: int, shutdown_timeout: float) -> tuple[int, list[Any]]:
    """Return how many bytes answered the fetch, and what the broker logged as it ended."""
    options = ("--log-format", "json", "--shutdown-timeout", str(shutdown_timeout))
    with subprocess.Popen(
        [sys.executable, "-m", "tidings", "serve", "--memory", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            ready = json.loads(process.stdout.readline())
            port = int(ready["address"].rpartition(":")[2])
            with connect(port) as client:
                ask(client, "metadata", 12, topics=[{"name": "news"}])
                long_fetch(client, wait_ms)
                # When one that came later is answered, the fetch is at work.
                with connect(port) as other:
                    ask(other, "api_versions", 3)
                process.send_signal(signal.SIGTERM)
                answer = client.makefile("rb").read()
            assert process.wait(PATIENCE_S) == 0
            return len(answer), [json.loads(line) for line in process.stderr]
        finally:
            process.kill()


def test_serve_answers_what_is_at_work_when_it_is_told_to_stop() -> None:
    size, said = stopped_with_a_fetch_at_work(wait_ms=500, shutdown_timeout=PATIENCE_S)
    assert size > 4
    assert said[-1]["cut_off"] == {}


def test_serve_cuts_off_what_takes_longer_and_says_so() -> None:
    size, said = stopped_with_a_fetch_at_work(wait_ms=60_000, shutdown_timeout=0)
    assert size == 0
    told, stopping, closed = said[-3:]
    assert told["signal"] == "SIGTERM"
    assert stopping["at_work"] == closed["cut_off"] == {"fetch": 1}
    assert closed["message"] == "all connections are closed; requests cut off: 1 fetch"
