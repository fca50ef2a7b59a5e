"""Faults that a test asks its broker for, as they look on the wire."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from batches_made import batch_of
from broker_in_memory import ANSWER_BYTES_MAX, PEER, read_response, request_frame
from kio.schema.errors import ErrorCode
from lone_broker import lone_broker

from tidings.errors import InvalidRequest
from tidings.kafka.answering import accept
from tidings.kafka.schema import Entity
from tidings.testing import broker
from tidings.testing.error_answers import _SHAPES
from tidings.testing.faults import Faults
from tidings.testing.loop import run
from tidings.testing.real_broker import RunningBroker

pytestmark = pytest.mark.real

PATIENCE_S = 60.0
TOO_LONG_S = 3600.0


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningBroker]:
    with broker() as running:
        yield running


@pytest.fixture
def kafka(shared: RunningBroker) -> Iterator[RunningBroker]:
    shared.reset()
    shared.create_topic("news")
    yield shared
    while CLIENTS:
        CLIENTS.pop().close()


CLIENTS: list["Client"] = []
"""Those of the test that runs."""


class Client:
    """A connection."""

    def __init__(self, kafka: RunningBroker) -> None:
        host, _, port = kafka.bootstrap_servers.partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self._answers = self.socket.makefile("rb")
        CLIENTS.append(self)

    def close(self) -> None:
        self._answers.close()
        self.socket.close()

    def send(self, module: str, version: int, **values: Any) -> None:
        frame = request_frame(module, version, values)
        self.socket.sendall(len(frame).to_bytes(4, "big") + frame)

    def answer(self, module: str, version: int) -> Entity:
        size = self._answers.read(4)
        assert size, "the connection was cut"
        data = size + self._answers.read(int.from_bytes(size, "big"))
        return read_response(module, version, data)

    def ask(self, module: str, version: int, **values: Any) -> Entity:
        self.send(module, version, **values)
        return self.answer(module, version)

    def has_answer(self) -> bool:
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(1))
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(PATIENCE_S)

    def is_cut(self) -> bool:
        try:
            return self._answers.read(1) == b""
        except ConnectionResetError:
            return True


def producing(topic: str = "news", acks: int = 1) -> dict[str, Any]:
    data = {"index": 0, "records": batch_of()}
    return {
        "acks": acks,
        "timeout": 60_000,
        "topic_data": [{"name": topic, "partition_data": [data]}],
    }


def count(kafka: RunningBroker) -> int:
    return len(kafka.records("news"))


def is_served(kafka: RunningBroker) -> bool:
    """Ask something that can only be answered once all before it has arrived."""
    return bool(Client(kafka).ask("metadata", 9, topics=None).brokers)


_PARTITIONS = [{"name": "news", "partitions": [{"partition_index": 0}]}]

ASKED: dict[str, tuple[int, dict[str, Any]]] = {
    "produce": (9, producing()),
    "fetch": (12, {"topics": [{"topic": "news", "partitions": [{"partition": 0}]}]}),
    "list_offsets": (7, {"topics": _PARTITIONS}),
    "offset_commit": (8, {"group_id": "g", "topics": _PARTITIONS}),
    "offset_fetch": (8, {"groups": [{"group_id": "g", "topics": None}]}),
    "find_coordinator": (4, {"coordinator_keys": ["g"]}),
    "join_group": (7, {"group_id": "g"}),
    "sync_group": (5, {"group_id": "g"}),
    "heartbeat": (4, {"group_id": "g"}),
    "leave_group": (4, {"group_id": "g"}),
    "init_producer_id": (4, {}),
    "create_topics": (7, {"topics": [{"name": "new"}]}),
    "delete_topics": (5, {"topic_names": ["news"]}),
}


def codes(values: Any) -> list[int]:
    """Return every error code in a response."""
    if isinstance(values, tuple):
        return [code for value in values for code in codes(value)]
    if not hasattr(values, "__slots__") or isinstance(values, int):
        return []
    own = [int(values.error_code)] if hasattr(values, "error_code") else []
    return own + [code for name in values.__slots__ for code in codes(getattr(values, name))]


@pytest.mark.parametrize("module", _SHAPES)
def test_fail_answers_with_the_error_and_carries_nothing_out(
    kafka: RunningBroker, module: str
) -> None:
    version, values = ASKED[module]
    client = Client(kafka)
    with kafka.fail(module.replace("_", ""), "NOT_COORDINATOR") as fault:
        answer = client.ask(module, version, **values)
    assert ErrorCode.not_coordinator in codes(answer)
    assert fault.hits == 1
    assert count(kafka) == 0
    later = codes(client.ask(module, version, **values))
    assert later
    assert ErrorCode.not_coordinator not in later


def test_fail_of_a_list_in_an_older_version_stands_where_that_has_it(kafka: RunningBroker) -> None:
    kafka.fail("FindCoordinator", "NOT_COORDINATOR")
    answer = Client(kafka).ask("find_coordinator", 1, key="g", key_type=0)
    assert answer.error_code == ErrorCode.not_coordinator


def test_delay_carries_the_request_out_and_answers_late(kafka: RunningBroker) -> None:
    kafka.delay("Produce", 0.05)
    assert not any(codes(Client(kafka).ask("produce", 9, **producing())))
    slow = Client(kafka)
    kafka.delay("Produce", TOO_LONG_S)
    slow.send("produce", 9, **producing())
    while count(kafka) < 2:
        assert is_served(kafka)
    assert not slow.has_answer()


def test_drop_loses_the_request_and_all_that_follow_on_its_connection(
    kafka: RunningBroker,
) -> None:
    fault = kafka.drop("Produce")
    client = Client(kafka)
    client.send("produce", 9, **producing())
    fault.wait()
    client.send("produce", 9, **producing())
    assert is_served(kafka)
    assert not client.has_answer()
    assert count(kafka) == 0
    assert not any(codes(Client(kafka).ask("produce", 9, **producing())))


def test_cut_cuts_before_the_request_is_carried_out(kafka: RunningBroker) -> None:
    kafka.cut("Produce", times=2)
    for _ in range(2):
        client = Client(kafka)
        client.send("produce", 9, **producing())
        assert client.is_cut()
    assert count(kafka) == 0
    assert not any(codes(Client(kafka).ask("produce", 9, **producing())))


def test_cut_before_reply_cuts_after_the_request_is_carried_out(kafka: RunningBroker) -> None:
    fault = kafka.cut_before_reply("Produce")
    client = Client(kafka)
    client.send("produce", 9, **producing())
    assert client.is_cut()
    fault.wait()
    assert count(kafka) == 1


def test_paused_broker_takes_requests_and_answers_them_afterwards(kafka: RunningBroker) -> None:
    client = Client(kafka)
    with kafka.paused():
        client.send("produce", 9, **producing())
        assert count(kafka) == 0
        assert not client.has_answer()
    assert not any(codes(client.answer("produce", 9)))
    assert count(kafka) == 1


def test_full_disk_refuses_what_is_new_and_serves_what_is_there(kafka: RunningBroker) -> None:
    kafka.append("news", [b"before"])
    client = Client(kafka)
    with kafka.full_disk():
        answer = client.ask("produce", 9, **producing())
        assert ErrorCode.kafka_storage_error in codes(answer)
        fetching = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}
        answer = client.ask(
            "fetch", 12, max_bytes=1000, topics=[{"topic": "news", "partitions": [fetching]}]
        )
        assert answer.responses[0].partitions[0].records
    assert not any(codes(client.ask("produce", 9, **producing())))
    assert count(kafka) == 2


def test_fault_ends_early_and_with_the_others(kafka: RunningBroker) -> None:
    with kafka.cut("Produce", times=100):
        pass
    kafka.cut("Produce", times=100).end()
    kafka.cut("Produce", times=100)
    kafka.clear_faults()
    assert not any(codes(Client(kafka).ask("produce", 9, **producing())))


def test_fault_that_nobody_meets_in_time_says_so(kafka: RunningBroker) -> None:
    with kafka.cut("JoinGroup") as fault, pytest.raises(TimeoutError, match="join_group"):
        fault.wait(timeout_s=0.01)


@pytest.mark.parametrize(
    ("api", "error"), [("Teleport", "NONE"), ("Produce", "TOO_HOT"), ("ApiVersions", "NONE")]
)
def test_fault_that_cannot_happen_is_refused(kafka: RunningBroker, api: str, error: str) -> None:
    with pytest.raises(InvalidRequest):
        kafka.fail(api, error)


def test_request_takes_the_short_way_again_once_none_waits_that_it_could_overtake() -> None:
    async def main() -> None:
        frame = memoryview(request_frame("produce", 9, producing()))
        async with lone_broker() as broker:
            await broker.log.create_topic("news")
            faults = Faults()
            pending = accept(frame, broker.settings)

            def takes_the_short_way() -> bool:
                begun = faults.answerer.begin(broker, PEER, pending)
                if begun is not None:
                    begun.cancel()
                return begun is not None

            assert takes_the_short_way()
            faults.pause()
            assert not takes_the_short_way()
            async with asyncio.TaskGroup() as tasks:

                async def waiting() -> None:
                    await faults.answerer.answer(broker, PEER, pending, ANSWER_BYTES_MAX)

                task = tasks.create_task(waiting())
                await asyncio.sleep(1)
                faults.go_on()
                assert faults.answerer.begin(broker, PEER, pending) is None
                await task
                await faults.answerer.answer(broker, PEER, pending, ANSWER_BYTES_MAX)
            assert takes_the_short_way()

    run(main())
