"""What a connection, and all of them together, may hold; and how long a client may take."""

import asyncio

import pytest
from connection_scene import Gate, Scene, answering, asking, frame, play, settle, stand_in

from tidings.kafka.connections import FAVOURED_PATIENCE_S


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return stand_in(monkeypatch)


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
