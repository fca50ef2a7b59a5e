"""`tidings.testing.broker`: a real broker in this process, through its lives."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

import tidings
from tidings.embedded import NewRecord
from tidings.errors import Corrupt, InvalidRequest, Unavailable
from tidings.stores.folder import IDENTITY_FILE
from tidings.testing import broker
from tidings.testing.real_broker import RunningBroker

pytestmark = pytest.mark.real

PATIENCE_S = 60.0


def produce(kafka: RunningBroker, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(PATIENCE_S) == 0


def values(kafka: RunningBroker, topic: str) -> list[bytes | None]:
    return [record.value for record in kafka.records(topic)]


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_broker_keeps_what_clients_produce_over_a_restart_but_not_over_a_reset(
    tmp_path: Path, *, on_disk: bool
) -> None:
    with broker(data=tmp_path if on_disk else None) as kafka:
        address = kafka.bootstrap_servers
        produce(kafka, "news", b"1", b"2")
        kafka.restart()
        assert values(kafka, "news") == [b"1", b"2"]
        produce(kafka, "news", b"3")
        kafka.reset()
        assert AdminClient({"bootstrap.servers": address}).list_topics(timeout=60).topics == {}
        produce(kafka, "news", b"4")
        assert values(kafka, "news") == [b"4"]
        assert kafka.bootstrap_servers == address


def test_broker_on_disk_leaves_a_folder_that_the_library_opens(tmp_path: Path) -> None:
    with broker(data=tmp_path) as kafka:
        produce(kafka, "news", b"1")

    async def topics() -> list[str]:
        async with tidings.open(tmp_path) as log:
            return list(await log.topics())

    assert asyncio.run(topics()) == ["news"]


def test_brokers_stand_side_by_side_and_know_nothing_of_each_other() -> None:
    with ExitStack() as stack:
        brokers = [stack.enter_context(broker()) for _ in range(5)]
        assert len({kafka.bootstrap_servers for kafka in brokers}) == 5
        for number, kafka in enumerate(brokers):
            produce(kafka, "news", b"%d" % number)
        for number, kafka in enumerate(brokers):
            assert values(kafka, "news") == [b"%d" % number]


def test_broker_tells_what_groups_committed_and_takes_records_of_any_age() -> None:
    with broker(partitions=3) as kafka:
        kafka.create_topic("news")
        kafka.append("news", [NewRecord(b"old", timestamp_ms=0), b"new"])
        consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "group.id": "readers",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe(["news"])
        assert [message.value() for message in consumer.consume(2, PATIENCE_S)] == [b"old", b"new"]
        assert kafka.committed("readers", "news") == {}
        consumer.commit(asynchronous=False)
        assert kafka.committed("readers", "news") == {0: 2}
        # A group with a member does not outlive a reset either.
        kafka.reset()
        kafka.create_topic("news")
        assert kafka.committed("readers", "news") == {}
        consumer.close()


def test_broker_without_auto_creation_creates_no_topic() -> None:
    with broker(auto_create_topics=False) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        found = admin.list_topics("news", timeout=PATIENCE_S).topics["news"]
        assert found.error is not None
        assert found.error.name() == "UNKNOWN_TOPIC_OR_PART"
        with pytest.raises(InvalidRequest):
            kafka.create_topic("no spaces")


def test_broker_that_ended_cannot_be_reached() -> None:
    with broker() as kafka:
        address = kafka.bootstrap_servers
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": address}).list_topics(timeout=0.1)


def test_broker_on_a_folder_in_use_says_so(tmp_path: Path) -> None:
    with broker(data=tmp_path), pytest.raises(Unavailable, match="in use"), broker(data=tmp_path):
        pass


def test_broker_whose_folder_is_damaged_ends_with_the_reason(tmp_path: Path) -> None:
    running = broker(data=tmp_path)
    kafka = running.__enter__()
    (tmp_path / IDENTITY_FILE).write_text("{}")
    with pytest.raises(Corrupt):
        kafka.restart()
    with pytest.raises(Unavailable) as ended:
        running.__exit__(None, None, None)
    assert isinstance(ended.value.__cause__, Corrupt)


def test_import_of_the_broker_imports_neither_simulator_nor_pytest() -> None:
    program = (
        "import sys\nfrom tidings.testing import broker\nwith broker(): pass\n"
        "print([name for name in sys.modules if 'pytest' in name or 'simulation' in name"
        " or name == 'tidings.testing.loop'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
