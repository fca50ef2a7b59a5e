"""The shortcut against the general reader."""

import uuid
from typing import Any

import pytest
from broker_in_memory import request_frame
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidRequest
from tidings.kafka.codec import decode
from tidings.kafka.produce_request import HEAD_BYTES_MAX, Head, read_one_batch
from tidings.types import TopicPartition

FLEXIBLE = range(9, 14)
TOPIC_ID = uuid.UUID(int=5)
SIZES = [0, 1, 126, 127, 200, 20_000, 3_000_000]


def produce(version: int, client_id: Any = "tests", **values: Any) -> bytes:
    return request_frame("produce", version, {"acks": -1, "timeout": 1500, **values}, client_id)


def topic(*partitions: dict[str, Any], name: str = "news") -> dict[str, Any]:
    return {"name": name, "topic_id": TOPIC_ID, "partition_data": list(partitions)}


def partition(records: bytes | None = b"r" * 300, index: int = 3) -> dict[str, Any]:
    return {"index": index, "records": records}


def read_generally(version: int, frame: bytes | memoryview) -> tuple[Head, bytes] | None:
    """Return what the general reader makes of a frame, in the same form; None if it refuses it."""
    try:
        body = decode("produce", version, frame).body
    except InvalidRequest:
        return None
    (topic_data,) = body.topic_data
    (data,) = topic_data.partition_data
    assert body.transactional_id is None
    if version >= 13:
        name, raw = "", (topic_data.topic_id or uuid.UUID(int=0)).bytes
    else:
        name = topic_data.name
        raw = bytes([len(name.encode()) + 1]) + name.encode()
    timeout_ms = round(body.timeout.total_seconds() * 1000)
    head = Head(body.acks, timeout_ms, raw, TopicPartition(name, data.index))
    return head, data.records


@pytest.mark.parametrize("version", FLEXIBLE)
@pytest.mark.parametrize("client_id", [None, "", "a client", "Kunde ü"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_usual_request_is_read_as_by_the_general_reader(
    version: int, client_id: str | None, size: int, kind: type
) -> None:
    frame = kind(produce(version, client_id, topic_data=[topic(partition(b"r" * size))]))
    read = read_one_batch(version, frame)
    assert read is not None
    assert read == read_generally(version, frame)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"topic_data": [topic(partition(), partition())]},
        {"topic_data": [topic(partition()), topic(partition())]},
        {"topic_data": [topic()]},
        {"topic_data": [topic(partition(None))]},
        {"topic_data": [topic(partition(), name="n" * 127)]},
        {"topic_data": [topic(partition())], "transactional_id": "t"},
        {"topic_data": [topic(partition())], "client_id": "c" * HEAD_BYTES_MAX},
    ],
)
def test_any_other_request_is_left_to_the_general_reader(values: dict[str, Any]) -> None:
    assert read_one_batch(9, produce(9, **values)) is None


def test_older_versions_are_left_to_the_general_reader() -> None:
    for version in range(3, 9):
        frame = produce(version, topic_data=[topic(partition())])
        assert read_one_batch(version, frame) is None


@given(
    version=st.sampled_from(FLEXIBLE),
    place=st.integers(8, 80),
    byte=st.integers(0, 255),
    cut=st.integers(0, 60),
)
def test_bytes_changed_anywhere_give_what_the_general_reader_gives(
    version: int, place: int, byte: int, cut: int
) -> None:
    data = bytearray(produce(version, topic_data=[topic(partition(b"records"))]))
    if place < len(data):
        data[place] = byte
    frame = bytes(data[: len(data) - cut])
    read = read_one_batch(version, frame)
    if read is not None:
        assert read == read_generally(version, frame)


@given(version=st.sampled_from(FLEXIBLE), frame=st.binary(max_size=100))
def test_any_bytes_are_read_or_left(version: int, frame: bytes) -> None:
    read = read_one_batch(version, frame)
    if read is not None:
        assert read == read_generally(version, frame)
