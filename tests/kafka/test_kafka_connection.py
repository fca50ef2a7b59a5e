"""A connection without a network: bytes in, bytes out, in this order."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from broker_in_memory import broker_on, read_response, request_frame
from kio.schema.errors import ErrorCode
from memory_transport import MemoryTransport
from topics_log import TopicsLog

from tidings.errors import Unavailable
from tidings.kafka.apis import API_OF_KEY, Answer, Api
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import Encoded
from tidings.kafka.connection import Connection
from tidings.kafka.connections import FAVOURED_PATIENCE_S, Connections
from tidings.kafka.schema import Entity
from tidings.testing.loop import run

API_VERSIONS = 18
METADATA = 3


class Gate:
    """A handler that answers each request with its client id, when the test says so."""

    def __init__(self) -> None:
        # Client ids in the order in which their requests began.
        self.begun: list[str | None] = []
        self.cancelled: list[str | None] = []
        self._open: dict[str | None, asyncio.Event] = {}

    def open(self, client_id: str) -> None:
        self._event(client_id).set()

    def _event(self, client_id: str | None) -> asyncio.Event:
        return self._open.setdefault(client_id, asyncio.Event())

    async def handle(self, broker: Broker, context: Context, request: Entity) -> Answer:
        del broker, request
        self.begun.append(context.client_id)
        try:
            await self._event(context.client_id).wait()
        except asyncio.CancelledError:
            self.cancelled.append(context.client_id)
            raise
        assert context.client_id is not None
        return None if context.client_id == "silent" else Encoded([context.client_id.encode()])


def frame(module: str, version: int, client_id: str = "tests", **values: Any) -> bytes:
    data = request_frame(module, version, values, client_id=client_id)
    return len(data).to_bytes(4, "big") + data


def asking(client_id: str) -> bytes:
    """Return a frame for the gate, which stands in for Metadata."""
    return frame("metadata", 1, client_id, topics=[])


def answering(client_id: str) -> bytes:
    body = client_id.encode()
    return (4 + len(body)).to_bytes(4, "big") + (7).to_bytes(4, "big") + body


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setitem(API_OF_KEY, METADATA, Api(METADATA, "metadata", 0, 1, gate.handle))
    return gate


@pytest.fixture
def pipelined(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    api = Api(METADATA, "metadata", 0, 1, gate.handle, is_pipelined=True)
    monkeypatch.setitem(API_OF_KEY, METADATA, api)
    return gate


async def settle() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(20):
        await asyncio.sleep(0)


class Scene:
    """A connection, its transport and the others."""

    def __init__(self, tasks: asyncio.TaskGroup, **settings: Any) -> None:
        self.tasks = tasks
        self.broker = broker_on(TopicsLog(a=1), **settings)
        self.connections = Connections(self.broker.settings)
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[Connection, MemoryTransport]:
        connection = Connection(self.broker, self.tasks, self.connections)
        transport = MemoryTransport(connection)
        connection.connection_made(transport)
        return connection, transport

    async def receive(self, data: bytes) -> None:
        self.connection.data_received(data)
        await settle()


def play(act: Callable[[Scene], Any], **settings: Any) -> Any:
    async def main() -> Any:
        async with asyncio.TaskGroup() as tasks:
            return await act(Scene(tasks, **settings))

    return run(main())


# Requests and answers -----------------------------------------------------------------------------


def test_request_in_one_piece_is_answered() -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(frame("metadata", 12, topics=None))
        answer = read_response("metadata", 12, scene.transport.sent)
        assert [topic.name for topic in answer.topics] == ["a"]

    play(act)


def test_request_byte_by_byte_is_answered_once() -> None:
    async def act(scene: Scene) -> None:
        data = frame("metadata", 12, topics=None)
        for place in range(len(data)):
            assert scene.transport.sent == b""
            await scene.receive(data[place : place + 1])
        read_response("metadata", 12, scene.transport.sent)

    play(act)


def test_answer_names_the_address_that_the_client_reached() -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(frame("metadata", 1, topics=[]))
        (broker,) = read_response("metadata", 1, scene.transport.sent).brokers
        assert (broker.host, broker.port) == ("10.0.0.1", 9092)

    play(act)


def test_answer_names_the_advertised_address() -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(frame("metadata", 1, topics=[]))
        (broker,) = read_response("metadata", 1, scene.transport.sent).brokers
        assert (broker.host, broker.port) == ("log.example", 19092)

    play(act, advertised_host="log.example", advertised_port=19092)


# Order --------------------------------------------------------------------------------------------


def test_requests_that_come_together_are_handled_one_after_the_other(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b"))
        assert gate.begun == ["a"]
        gate.open("b")
        gate.open("a")
        await settle()
        assert gate.begun == ["a", "b"]
        assert scene.transport.sent == answering("a") + answering("b")

    play(act)


def test_pipelined_requests_begin_together_and_are_answered_in_order(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b") + asking("c"))
        assert pipelined.begun == ["a", "b", "c"]
        pipelined.open("c")
        pipelined.open("b")
        await settle()
        assert scene.transport.sent == b""
        pipelined.open("a")
        await settle()
        assert scene.transport.sent == b"".join(map(answering, "abc"))

    play(act)


def test_another_request_waits_for_pipelined_ones_and_they_for_it(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + frame("api_versions", 0) + asking("b"))
        assert pipelined.begun == ["a"]
        pipelined.open("a")
        await settle()
        assert scene.transport.sent.startswith(answering("a"))
        assert len(scene.transport.sent) > len(answering("a"))
        assert pipelined.begun == ["a", "b"]
        pipelined.open("b")
        await settle()
        assert scene.transport.sent.endswith(answering("b"))

    play(act)


def test_pipelined_requests_are_bounded(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(b"".join(map(asking, "abcdef")))
        assert pipelined.begun == ["a", "b"]
        for name in "abcdef":
            pipelined.open(name)
        await settle()
        assert scene.transport.sent == b"".join(map(answering, "abcdef"))

    play(act, pipelined_requests_max=2)


def test_request_that_expects_no_answer_gets_none(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("silent") + asking("b"))
        pipelined.open("b")
        pipelined.open("silent")
        await settle()
        assert scene.transport.sent == answering("b")

    play(act)


# Bounds -------------------------------------------------------------------------------------------


def test_client_that_asks_faster_than_it_is_answered_is_not_read(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(b"".join(map(asking, "abc")))
        assert scene.transport.is_paused()
        gate.open("a")
        await settle()
        assert not scene.transport.is_paused()
        gate.open("b")
        gate.open("c")
        await settle()
        assert scene.transport.sent == b"".join(map(answering, "abc"))

    play(act, pipelined_requests_max=2)


def test_client_that_does_not_read_has_nothing_begun(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        scene.connection.pause_writing()
        await scene.receive(asking("a"))
        assert gate.begun == []
        assert scene.transport.is_paused()
        gate.open("a")
        scene.connection.resume_writing()
        await settle()
        assert scene.transport.sent == answering("a")
        assert not scene.transport.is_paused()

    play(act)


def test_connection_beyond_the_limit_is_closed_at_once() -> None:
    async def act(scene: Scene) -> None:
        connection, transport = scene.connect()
        assert transport.state == "aborted"
        connection.data_received(frame("api_versions", 0))
        await settle()
        scene.connection.connection_lost(None)
        _, third = scene.connect()
        assert third.state == "open"

    play(act, connections_max=1)


def test_client_is_not_read_beyond_the_bytes_that_may_wait(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b"))
        assert scene.transport.is_paused()
        gate.open("a")
        gate.open("b")
        await settle()
        assert not scene.transport.is_paused()

    play(act, pipelined_bytes_max=2 * len(asking("a")))


@pytest.mark.parametrize("size", [0, 1])
def test_request_without_records_is_bounded(size: int, gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        gate.open("a")
        await scene.receive(asking("a"))
        assert scene.transport.state == ("aborted" if size else "open")

    play(act, other_request_bytes_max=len(asking("a")) - 4 - size)


# All connections together -------------------------------------------------------------------------


def test_full_memory_lets_one_request_at_a_time_arrive(gate: Gate) -> None:
    """Three clients are in the middle of a request when memory is full."""
    names = ["a" * 30, "b" * 30, "c" * 30]
    whole = [asking(name) for name in names]

    async def act(scene: Scene) -> None:
        everyone = [(scene.connection, scene.transport), scene.connect(), scene.connect()]

        def receive(number: int, data: bytes) -> list[bool]:
            everyone[number][0].data_received(data)
            return [transport.is_paused() for _, transport in everyone]

        assert receive(0, whole[0][:20]) == [False, False, False]
        assert receive(1, whole[1][:20]) == [False, False, False]
        # The third makes it too much, and is favoured; the others learn it when they go on.
        assert receive(2, whole[2][:20]) == [False, False, False]
        assert receive(0, whole[0][20:25]) == [True, False, False]
        assert receive(1, whole[1][20:25]) == [True, True, False]
        # One whole request makes room for the next favoured, although nothing was answered yet.
        assert receive(2, whole[2][20:]) == [False, True, True]
        assert receive(0, whole[0][25:]) == [True, False, True]
        assert receive(1, whole[1][25:]) == [True, True, True]
        await settle()
        for name in names:
            gate.open(name)
        await settle()
        for (_, transport), name in zip(everyone, names, strict=True):
            assert transport.sent == answering(name)
            assert not transport.is_paused()

    play(act, memory_bytes_max=50)


def test_full_memory_is_free_again_when_requests_were_answered(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        other, transport = scene.connect()
        await scene.receive(asking("a"))
        other.data_received(asking("b"))
        assert transport.is_paused()
        gate.open("a")
        gate.open("b")
        await settle()
        assert not transport.is_paused()
        assert not scene.transport.is_paused()
        assert transport.sent == answering("b")

    play(act, memory_bytes_max=30)


def test_favoured_client_that_takes_its_time_is_cut_off() -> None:
    async def act(scene: Scene) -> None:
        other, transport = scene.connect()
        await scene.receive(asking("a")[:15])
        other.data_received(asking("b")[:10])
        assert transport.is_paused()
        await asyncio.sleep(FAVOURED_PATIENCE_S + 1)
        assert scene.transport.state == "aborted"
        assert not transport.is_paused()

    play(act, memory_bytes_max=12)


def test_answers_that_are_not_read_count_and_leave_less_for_the_next() -> None:
    async def act(scene: Scene) -> None:
        assert scene.connections.answer_bytes_max == 1000
        scene.transport.unsent_bytes = 3000
        scene.connection.pause_writing()
        assert scene.connections.answer_bytes_max == 250
        scene.connection.resume_writing()
        assert scene.connections.answer_bytes_max == 1000
        scene.connection.pause_writing()
        scene.connection.connection_lost(None)
        assert scene.connections.answer_bytes_max == 1000

    play(act, memory_bytes_max=4000)


# Patience -----------------------------------------------------------------------------------------


async def wait(scene: Scene, time_s: float) -> None:
    """Let time pass, with somebody who looks after the connections."""
    sweep = scene.tasks.create_task(scene.connections.sweep())
    await asyncio.sleep(time_s)
    sweep.cancel()


def test_idle_client_is_closed_after_a_while() -> None:
    async def act(scene: Scene) -> None:
        await wait(scene, 90)
        assert scene.transport.state == "open"
        await scene.receive(frame("api_versions", 0))
        await wait(scene, 90)
        assert scene.transport.state == "open"
        await wait(scene, 20)
        assert scene.transport.state == "aborted"

    play(act, idle_patience_s=100)


def test_client_that_sends_a_byte_a_second_is_closed() -> None:
    async def act(scene: Scene) -> None:
        sweep = scene.tasks.create_task(scene.connections.sweep())
        for byte in asking("a" * 100):
            if scene.transport.state != "open":
                break
            scene.connection.data_received(bytes([byte]))
            await asyncio.sleep(1)
        sweep.cancel()
        assert 30 < asyncio.get_running_loop().time() < 40
        assert scene.transport.state == "aborted"

    play(act)


def test_client_that_sends_a_large_request_slowly_gets_its_time() -> None:
    async def act(scene: Scene) -> None:
        scene.connection.data_received((1000).to_bytes(4, "big") + b"\0")
        await wait(scene, 100)
        assert scene.transport.state == "open"
        await wait(scene, 40)
        assert scene.transport.state == "aborted"

    play(act, stall_bytes_per_s=10)


def test_client_that_does_not_read_is_closed() -> None:
    async def act(scene: Scene) -> None:
        scene.connection.pause_writing()
        await wait(scene, 25)
        assert scene.transport.state == "open"
        await wait(scene, 15)
        assert scene.transport.state == "aborted"

    play(act)


def test_client_that_waits_for_an_answer_is_not_closed(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b"))
        await wait(scene, 1000)
        gate.open("a")
        gate.open("b")
        await settle()
        assert scene.transport.sent == answering("a") + answering("b")

    play(act)


# What is wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(b"\x00\x00\x00\x00", id="an empty frame"),
        pytest.param(b"\xff\xff\xff\xff", id="a negative size"),
        pytest.param(b"\0\0\0\x0a\0\x03\0\x01\0\0\0\1\0\5", id="half a client id"),
        pytest.param(b"\0\0\0\x0e\0\x03\0\x63\0\0\0\1\0\0" + bytes(4), id="a version of tomorrow"),
        pytest.param(b"\0\0\0\x0e\x7f\x03\0\0\0\0\0\1\0\0" + bytes(4), id="no such API"),
    ],
)
def test_client_that_is_wrong_is_cut_off(data: bytes) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(data)
        assert scene.transport.state == "aborted"
        assert scene.transport.sent == b""
        await scene.receive(frame("api_versions", 0))
        assert scene.transport.sent == b""

    play(act)


def test_wrong_request_behind_a_good_one_leaves_the_good_one_its_answer(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + b"\0\0\0\x04\x7f\0\0\0")
        assert scene.transport.state == "open"
        gate.open("a")
        await settle()
        assert scene.transport.sent == answering("a")
        assert scene.transport.state == "aborted"

    play(act)


def test_unknown_version_of_api_versions_is_answered_in_version_0_with_the_range() -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(b"\0\0\0\x0b\0\x12\0\x63\0\0\0\x07\xff\xff\0")
        answer = read_response("api_versions", 0, scene.transport.sent)
        assert answer.error_code == ErrorCode.unsupported_version
        (served,) = answer.api_keys
        assert (served.api_key, served.min_version) == (API_VERSIONS, 0)
        assert scene.transport.state == "open"

    play(act)


@pytest.mark.parametrize("error", [ZeroDivisionError(), Unavailable("a handler let it through")])
def test_bug_in_a_handler_closes_the_connection_and_is_logged(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Answer:
        raise error

    monkeypatch.setitem(API_OF_KEY, METADATA, Api(METADATA, "metadata", 0, 1, broken))

    async def act(scene: Scene) -> None:
        await scene.receive(asking("a"))
        assert scene.transport.state == "aborted"
        assert scene.transport.sent == b""
        _, other = scene.connect()
        assert other.state == "open"

    play(act)
    assert "a metadata request failed" in caplog.text


# The end ------------------------------------------------------------------------------------------


def test_client_that_leaves_has_its_requests_cancelled(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b"))
        scene.connection.connection_lost(None)
        await settle()
        assert pipelined.cancelled == ["a", "b"]

    play(act)


def test_drain_lets_requests_at_work_be_answered_and_begins_no_others(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a") + asking("b"))
        drain = scene.tasks.create_task(scene.connections.drain(1.0))
        await settle()
        gate.open("a")
        await drain
        assert scene.transport.sent == answering("a")
        assert scene.transport.state == "closed"
        assert gate.begun == ["a"]
        assert asyncio.get_running_loop().time() == 0

    play(act)


def test_drain_cuts_off_what_takes_too_long(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a"))
        await scene.connections.drain(1.0)
        assert scene.transport.state == "aborted"
        await settle()
        assert gate.cancelled == ["a"]

    play(act)
