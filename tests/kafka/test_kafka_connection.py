"""A connection without a network: bytes in, bytes out, in this order."""

import asyncio
from typing import Any

import pytest
from broker_in_memory import read_response
from connection_scene import (
    API_VERSIONS,
    METADATA,
    Gate,
    Scene,
    answering,
    asking,
    frame,
    play,
    settle,
    stand_in,
)
from kio.schema.errors import ErrorCode

from tidings.errors import Unavailable
from tidings.kafka.apis import API_OF_KEY, Answer, Api
from tidings.kafka.settings import ListenerSettings


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return stand_in(monkeypatch)


@pytest.fixture
def pipelined(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return stand_in(monkeypatch, is_pipelined=True)


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


@pytest.mark.parametrize("advertised", [None, "log.example"])
def test_answer_names_the_address_of_the_listener_on_which_the_client_asks(
    advertised: str | None,
) -> None:
    async def act(scene: Scene) -> None:
        outside = ListenerSettings("outside", "0.0.0.0", 1, advertised)
        connection, transport = scene.connect(outside)
        connection.data_received(frame("metadata", 1, topics=[]))
        await settle()
        (broker,) = read_response("metadata", 1, transport.sent).brokers
        assert (broker.host, broker.port) == (advertised or "10.0.0.1", 9092)

    play(act, advertised_host="not this", advertised_port=7)


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


def test_answer_that_comes_after_the_client_was_cut_off_is_dropped(pipelined: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a"))
        cut = asking("b")[4:-2]
        scene.connection.data_received(len(cut).to_bytes(4, "big") + cut)
        pipelined.open("a")
        await settle()
        assert scene.transport.state == "aborted"
        assert scene.transport.sent == b""

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


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError(), "a metadata request failed"),
        (Unavailable("no answer"), "a metadata request cannot be answered: no answer"),
    ],
)
def test_request_that_a_handler_cannot_answer_closes_the_connection_and_is_logged(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert told in caplog.text


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
        assert await drain == []
        assert scene.transport.sent == answering("a")
        assert scene.transport.state == "closed"
        assert gate.begun == ["a"]
        assert asyncio.get_running_loop().time() == 0

    play(act)


def test_drain_cuts_off_what_takes_too_long(gate: Gate) -> None:
    async def act(scene: Scene) -> None:
        await scene.receive(asking("a"))
        assert scene.connections.requests_at_work() == ["metadata"]
        assert await scene.connections.drain(1.0) == ["metadata"]
        assert scene.transport.state == "aborted"
        await settle()
        assert gate.cancelled == ["a"]

    play(act)
