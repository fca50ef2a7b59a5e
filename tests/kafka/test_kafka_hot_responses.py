"""The encoders that are written by hand, against the schema library's readers."""

import uuid
from typing import Any

import pytest
from batches_made import MadeRecord, batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode
from kio.serial import entity_reader

from tidings.kafka import fetch_response, produce_response
from tidings.kafka.fetch_response import FetchedBatch, FetchedPartition, FetchedTopic
from tidings.kafka.produce_response import ProducedPartition, ProducedTopic
from tidings.kafka.record_batch import stamped
from tidings.kafka.schema import response_class
from tidings.types import Offset

int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
codes = st.sampled_from(ErrorCode)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ids = st.uuids().map(lambda value: value.bytes)
few = 3

produced_partitions = st.builds(
    ProducedPartition, int32, codes, int64, st.integers(-1, 2**40), int64, st.none() | texts
)
produced_topics = st.builds(ProducedTopic, texts, ids, st.lists(produced_partitions, max_size=few))

SMALL, LARGE = batch_of(), batch_of([MadeRecord(value=bytes(10_000))])
fetched_batches = st.builds(
    FetchedBatch, st.integers(0, 2**63 - 1).map(Offset), st.sampled_from([SMALL, LARGE])
)
fetched_partitions = st.builds(
    FetchedPartition,
    int32,
    codes,
    int64,
    int64,
    int64,
    st.lists(fetched_batches, max_size=few),
)
fetched_topics = st.builds(FetchedTopic, texts, ids, st.lists(fetched_partitions, max_size=few))


def read(module: str, version: int, data: bytes) -> Any:
    message, size_bytes = entity_reader(response_class(module, version))(data, 0)
    assert size_bytes == len(data)
    assert message.throttle_time.total_seconds() == 0
    return message


def check_topics(version: int, messages: Any, topics: Any) -> None:
    assert len(messages) == len(topics)
    for message, topic in zip(messages, topics, strict=True):
        if version >= 13:
            assert (message.topic_id or uuid.UUID(int=0)).bytes == topic.topic_id
        else:
            assert (message.name if hasattr(message, "name") else message.topic) == topic.name


@pytest.mark.parametrize("version", range(3, 14))
@settings(max_examples=30)
@given(st.lists(produced_topics, max_size=few))
def test_produce_response_is_read_back(version: int, topics: list[ProducedTopic]) -> None:
    message = read("produce", version, produce_response.encode(version, topics))
    check_topics(version, message.responses, topics)
    for found, topic in zip(message.responses, topics, strict=True):
        for one, partition in zip(found.partition_responses, topic.partitions, strict=True):
            assert (one.index, one.error_code, one.base_offset) == partition[:3]
            time = one.log_append_time
            expected = partition.log_append_time_ms
            assert expected == (-1 if time is None else round(time.timestamp() * 1000))
            if version >= 5:
                assert one.log_start_offset == partition.log_start_offset
            if version >= 8:
                assert one.error_message == partition.error_text
                assert one.record_errors == ()


@pytest.mark.parametrize("version", range(4, 19))
@settings(max_examples=30)
@given(st.lists(fetched_topics, max_size=few), codes, st.booleans())
def test_fetch_response_is_read_back(
    version: int, topics: list[FetchedTopic], code: ErrorCode, lists_aborted: bool
) -> None:
    buffers = fetch_response.encode(version, topics, error_code=code, lists_aborted=lists_aborted)
    message = read("fetch", version, b"".join(buffers))
    check_topics(version, message.responses, topics)
    if version >= 7:
        assert (message.error_code, message.session_id) == (code, 0)
    for found, topic in zip(message.responses, topics, strict=True):
        for one, partition in zip(found.partitions, topic.partitions, strict=True):
            watermarks = (one.high_watermark, one.last_stable_offset)
            assert (one.partition_index, one.error_code, *watermarks) == partition[:4]
            if version >= 5:
                assert one.log_start_offset == partition.log_start_offset
            assert one.aborted_transactions == (() if lists_aborted else None)
            assert one.records == b"".join(
                b"".join(stamped(batch.data, batch.base_offset)) for batch in partition.batches
            )


def test_fetch_response_does_not_copy_large_batches() -> None:
    batches = [FetchedBatch(Offset(0), SMALL), FetchedBatch(Offset(1), LARGE)]
    topic = FetchedTopic("a", bytes(16), [FetchedPartition(0, ErrorCode.none, batches=batches)])
    buffers = fetch_response.encode(12, [topic])
    views = [buffer for buffer in buffers if isinstance(buffer, memoryview)]
    assert [view.obj for view in views] == [LARGE]
