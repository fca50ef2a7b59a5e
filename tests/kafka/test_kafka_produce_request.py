"""The shortcut against the general reader."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.kafka.decoding import Cursor, reader_of
from tidings.kafka.encoding import encode
from tidings.kafka.produce_request import read_usual
from tidings.kafka.schema import request_class

VERSIONS = st.integers(3, 13)
TOPIC_ID = uuid.UUID(int=5)


def produce(version: int, **values: Any) -> bytes:
    return encode(request_class("produce", version), {"acks": -1, "timeout": 1500, **values})


def topic(*partitions: dict[str, Any]) -> dict[str, Any]:
    return {"name": "news", "topic_id": TOPIC_ID, "partition_data": list(partitions)}


def partition(records: bytes | None = b"r" * 300, index: int = 3) -> dict[str, Any]:
    return {"index": index, "records": records}


@pytest.mark.parametrize("version", range(9, 14))
def test_usual_request_is_read_as_by_the_general_reader(version: int) -> None:
    data = produce(version, topic_data=[topic(partition())])
    cursor = Cursor(data)
    usual = read_usual(version, cursor)
    assert usual is not None
    assert usual == reader_of(request_class("produce", version))(Cursor(data))
    assert cursor.position == len(data)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"topic_data": [topic(partition(), partition())]},
        {"topic_data": [topic(partition()), topic(partition())]},
        {"topic_data": [topic()]},
        {"topic_data": [topic(partition(None))]},
        {"topic_data": [topic(partition())], "transactional_id": "t"},
    ],
)
def test_any_other_request_is_left_to_the_general_reader(values: dict[str, Any]) -> None:
    cursor = Cursor(produce(9, **values))
    assert read_usual(9, cursor) is None
    assert cursor.position == 0


@given(version=VERSIONS, place=st.integers(0, 60), byte=st.integers(0, 255), cut=st.integers(0, 60))
def test_bytes_changed_anywhere_give_what_the_general_reader_gives(
    version: int, place: int, byte: int, cut: int
) -> None:
    data = bytearray(produce(version, topic_data=[topic(partition(b"records"))]))
    if place < len(data):
        data[place] = byte
    cursor = Cursor(bytes(data[: len(data) - cut]))
    usual = read_usual(version, cursor)
    if usual is not None:
        general = Cursor(cursor.data)
        assert usual == reader_of(request_class("produce", version))(general)
        assert general.position == cursor.position
