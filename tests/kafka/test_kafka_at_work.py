"""Produce requests on a connection: they need no task, and keep their order all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from batches_made import MadeRecord, batch_of
from broker_in_memory import broker_on, request_frame
from connection_scene import settle
from memory_transport import MemoryTransport
from records_log import RecordsLog

from tidings.core.results import Placed
from tidings.errors import Unavailable
from tidings.kafka.connection import Connection
from tidings.kafka.connections import Connections
from tidings.testing.loop import run
from tidings.types import Offset

VALUES = [b"%d" % number for number in range(6)]


def produce_frame(*values: bytes, version: int = 9, timeout_ms: int = 5000) -> bytes:
    """Return a request with one batch for each of the first partitions."""
    partitions = [
        {"index": index, "records": batch_of([MadeRecord(value=value)])}
        for index, value in enumerate(values)
    ]
    topics = [{"name": "a", "partition_data": partitions}]
    body = {"acks": -1, "timeout": timeout_ms, "topic_data": topics}
    data = request_frame("produce", version, body)
    return len(data).to_bytes(4, "big") + data


class Scene:
    def __init__(self, tasks: asyncio.TaskGroup, log: RecordsLog) -> None:
        self.log = log
        broker = broker_on(log)
        self.connections = Connections(broker.settings)
        self.connection = Connection(broker, tasks, self.connections)
        self.transport = MemoryTransport(self.connection)
        self.connection.connection_made(self.transport)

    def finish(self, number: int) -> None:
        """Let the log answer the request that was appended as the `number`th."""
        self.log.waiting[number].set_result([Placed(Offset(number))])

    @property
    def answer_count(self) -> int:
        count, rest = 0, self.transport.sent
        while rest:
            rest = rest[4 + int.from_bytes(rest[:4], "big") :]
            count += 1
        return count


def play(act: Callable[[Scene], Awaitable[None]], log: RecordsLog | None = None) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            await act(Scene(tasks, log or RecordsLog(a=2)))

    run(main())


def values_of(log: RecordsLog) -> list[bytes]:
    return [value for (batch, *_) in log.appended for value in VALUES if value in batch.data[61:]]


def test_requests_of_all_kinds_are_appended_in_the_order_in_which_they_came() -> None:
    log = RecordsLog(a=2)

    async def act(scene: Scene) -> None:
        frames = [
            produce_frame(VALUES[0]),
            produce_frame(VALUES[1], b"another"),
            produce_frame(VALUES[2]),
            produce_frame(VALUES[3], version=8),
            produce_frame(VALUES[4]),
        ]
        scene.connection.data_received(b"".join(frames))
        await settle()
        assert scene.answer_count == 5

    play(act, log)
    assert values_of(log) == VALUES[:5]


def test_answers_keep_the_order_whatever_ends_first() -> None:
    log = RecordsLog(a=1)
    log.is_stuck = True

    async def act(scene: Scene) -> None:
        scene.connection.data_received(produce_frame(b"1") + produce_frame(b"2"))
        scene.finish(1)
        await settle()
        assert scene.answer_count == 0
        scene.finish(0)
        await settle()
        assert scene.answer_count == 2

    play(act, log)


def test_client_that_leaves_leaves_nothing_behind() -> None:
    log = RecordsLog(a=1)
    log.is_stuck = True

    async def act(scene: Scene) -> None:
        scene.connection.data_received(produce_frame(b"1"))
        scene.connection.connection_lost(None)
        await settle()
        assert log.waiting[0].cancelled()
        assert scene.transport.sent == b""
        await asyncio.sleep(10)

    play(act, log)


def test_client_that_leaves_when_its_request_failed_is_not_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = RecordsLog(a=1)
    log.error = Unavailable("full")

    async def act(scene: Scene) -> None:
        scene.connection.data_received(produce_frame(b"1"))
        scene.connection.connection_lost(None)
        await settle()
        assert scene.transport.sent == b""

    play(act, log)
    assert caplog.text == ""


@pytest.mark.parametrize("is_early", [True, False])
def test_bug_in_a_handler_closes_the_connection_alone(
    is_early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(RecordsLog):
        def append_soon(self, batches: Any) -> Any:
            if is_early:
                raise AssertionError("a bug")
            future = super().append_soon(batches)
            future.set_exception(AssertionError("a bug"))
            return future

    log = Broken(a=1)
    log.is_stuck = True

    async def act(scene: Scene) -> None:
        scene.connection.data_received(produce_frame(b"1") + produce_frame(b"2"))
        await settle()
        assert scene.transport.state == "aborted"
        assert scene.transport.sent == b""

    play(act, log)
    assert "a produce request failed" in caplog.text
