from typing import Any

import pytest
from batches_made import MadeRecord, batch_of
from broker_in_memory import broker_on, call
from kio.schema.errors import ErrorCode
from records_log import RecordsLog

from tidings.errors import Unavailable
from tidings.kafka.record_batch import Compression, read_header, with_log_append_time
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A0 = TopicPartition("a", 0)
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, PENDING = range(-1, -7, -1)
NOTHING = (ErrorCode.none, -1, -1, -1)


def timed(*times_ms: int, attributes: int = 0) -> bytes:
    return batch_of([MadeRecord(time_ms) for time_ms in times_ms], attributes=attributes)


def list_offset(
    log: RecordsLog, timestamp_ms: int, *, version: int = 11, topic: str = "a", **more: Any
) -> tuple[ErrorCode, int, int, int]:
    """Return error code, offset, timestamp and leader epoch."""
    partition = {"partition_index": 0, "timestamp": timestamp_ms, **more}
    topics = [{"name": topic, "partitions": [partition]}]
    values = {"replica_id": -1, "isolation_level": 0, "topics": topics, "timeout": 1000}
    response = run(call(broker_on(log), "list_offsets", version, **values))
    (found,) = response.topics[0].partitions
    epoch = getattr(found, "leader_epoch", 0 if found.offset >= 0 else -1)
    return found.error_code, found.offset, found.timestamp, epoch


@pytest.fixture
def log() -> RecordsLog:
    """Two batches: 10 ms 30 ms 20 ms, and 40 ms 40 ms."""
    log = RecordsLog(a=1)
    log.add(A0, timed(10, 30, 20))
    log.add(A0, timed(40, 40, attributes=Compression.ZSTD))
    return log


@pytest.mark.parametrize("version", range(1, 12))
def test_list_offsets_of_every_version_knows_beginning_and_end(
    log: RecordsLog, version: int
) -> None:
    assert list_offset(log, LATEST, version=version) == (ErrorCode.none, 5, -1, 0)
    assert list_offset(log, EARLIEST, version=version) == (ErrorCode.none, 0, -1, 0)


def test_list_offsets_after_deletion_knows_the_new_beginning(log: RecordsLog) -> None:
    log.state.log_starts[A0] = Offset(2)
    assert list_offset(log, EARLIEST)[1] == 2
    assert list_offset(log, EARLIEST_LOCAL)[1] == 2


def test_list_offsets_of_an_empty_partition_are_zero() -> None:
    log = RecordsLog(a=1)
    assert list_offset(log, LATEST) == list_offset(log, EARLIEST) == (ErrorCode.none, 0, -1, 0)
    assert list_offset(log, MAX_TIMESTAMP) == list_offset(log, 0) == NOTHING


def test_list_offsets_of_the_highest_timestamp_is_its_first_record(log: RecordsLog) -> None:
    assert list_offset(log, MAX_TIMESTAMP) == (ErrorCode.none, 3, 40, 0)


@pytest.mark.parametrize(
    ("timestamp_ms", "offset", "found_ms"),
    [(0, 0, 10), (10, 0, 10), (11, 1, 30), (30, 1, 30), (31, 3, 40), (40, 3, 40)],
)
def test_list_offsets_by_time_is_the_first_record_from_then_on(
    log: RecordsLog, timestamp_ms: int, offset: int, found_ms: int
) -> None:
    assert list_offset(log, timestamp_ms) == (ErrorCode.none, offset, found_ms, 0)


def test_list_offsets_after_the_last_time_is_nothing(log: RecordsLog) -> None:
    assert list_offset(log, 41) == NOTHING


def test_list_offsets_by_time_does_not_find_deleted_records(log: RecordsLog) -> None:
    log.state.log_starts[A0] = Offset(2)
    assert list_offset(log, 0) == (ErrorCode.none, 2, 20, 0)
    assert list_offset(log, 25) == (ErrorCode.none, 2, 20, 0), "the record of 30 ms is deleted"


def test_list_offsets_by_time_with_log_append_time_is_where_the_batch_begins() -> None:
    log = RecordsLog(a=1)
    log.add(A0, timed(1, 2, 3))
    data = timed(5, 6)
    log.add(A0, with_log_append_time(data, read_header(data), 100))
    assert list_offset(log, 50) == (ErrorCode.none, 3, 100, 0)


def test_list_offsets_by_time_in_records_that_cannot_be_read_is_where_the_batch_begins() -> None:
    log = RecordsLog(a=1)
    log.add(A0, timed(1))
    log.add(A0, batch_of([MadeRecord(9)] * 3, attributes=Compression.GZIP, payload=b"no gzip"))
    assert list_offset(log, 5) == (ErrorCode.none, 1, -1, 0)
    assert list_offset(log, MAX_TIMESTAMP)[1] == 1


def test_list_offsets_by_time_never_leaves_the_batch() -> None:
    log = RecordsLog(a=1)
    log.add(A0, batch_of([MadeRecord(9)] * 3, record_count=2, last_offset_delta=1))
    assert list_offset(log, 9)[1] == 0


@pytest.mark.parametrize("name", [LATEST_TIERED, PENDING])
def test_list_offsets_of_remote_storage_are_nothing(log: RecordsLog, name: int) -> None:
    assert list_offset(log, name) == NOTHING


@pytest.mark.parametrize(
    ("name", "version_min"),
    [(MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9), (PENDING, 11)],
)
def test_list_offsets_with_a_name_that_the_version_lacks_is_refused(
    log: RecordsLog, name: int, version_min: int
) -> None:
    assert list_offset(log, name, version=version_min)[0] == ErrorCode.none
    refused = list_offset(log, name, version=version_min - 1)
    assert refused == (ErrorCode.unsupported_version, -1, -1, -1)


def test_list_offsets_with_an_unknown_name_is_refused(log: RecordsLog) -> None:
    assert list_offset(log, -7)[0] == ErrorCode.unsupported_version


def test_list_offsets_of_what_does_not_exist_says_so(log: RecordsLog) -> None:
    refused = list_offset(log, LATEST, topic="nowhere")
    assert refused == (ErrorCode.unknown_topic_or_partition, -1, -1, -1)


def test_list_offsets_with_a_wrong_leader_epoch_is_refused(log: RecordsLog) -> None:
    refused = list_offset(log, LATEST, current_leader_epoch=3)
    assert refused[0] == ErrorCode.unknown_leader_epoch


def test_list_offsets_is_current_or_fails(log: RecordsLog) -> None:
    list_offset(log, LATEST)
    assert log.barriers == 1
    log.error = Unavailable("no answer")
    assert list_offset(log, LATEST) == (ErrorCode.kafka_storage_error, -1, -1, -1)
