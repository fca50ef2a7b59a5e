"""DeleteRecords, OffsetForLeaderEpoch, InitProducerId: small handlers, a few tests each."""

import asyncio
from typing import Any

import pytest
from batches_made import MadeRecord, batch_of
from broker_in_memory import broker_on, call
from kio.schema.errors import ErrorCode
from records_log import RecordsLog

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.testing.loop import run
from tidings.types import TopicPartition

A0 = TopicPartition("a", 0)


@pytest.fixture
def log() -> RecordsLog:
    """Topic `a` with offsets 0 to 9 in partition 0; partition 1 is empty."""
    log = RecordsLog(a=2)
    log.add(A0, batch_of([MadeRecord()] * 10))
    return log


# DeleteRecords -----------------------------------------------------------------------------------


def delete(
    log: RecordsLog, offset: int, *, version: int = 2, topic: str = "a"
) -> tuple[ErrorCode, int]:
    """Return error code and low watermark."""
    topics = [{"name": topic, "partitions": [{"partition_index": 0, "offset": offset}]}]
    values = {"topics": topics, "timeout": 3000}
    response = run(call(broker_on(log), "delete_records", version, **values))
    (found,) = response.topics[0].partitions
    return found.error_code, found.low_watermark


@pytest.mark.parametrize("version", range(3))
def test_delete_records_moves_the_beginning(log: RecordsLog, version: int) -> None:
    assert delete(log, 4, version=version) == (ErrorCode.none, 4)
    assert log.state.log_start_offset(A0) == 4


def test_delete_records_up_to_the_high_watermark_deletes_all(log: RecordsLog) -> None:
    assert delete(log, -1) == (ErrorCode.none, 10)


def test_delete_records_again_changes_nothing(log: RecordsLog) -> None:
    delete(log, 4)
    assert delete(log, 2) == (ErrorCode.none, 4)


@pytest.mark.parametrize("offset", [11, -2])
def test_delete_records_outside_the_log_is_out_of_range(log: RecordsLog, offset: int) -> None:
    assert delete(log, offset) == (ErrorCode.offset_out_of_range, -1)


def test_delete_records_of_what_does_not_exist_says_so(log: RecordsLog) -> None:
    assert delete(log, 1, topic="nowhere") == (ErrorCode.unknown_topic_or_partition, -1)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("compact", ErrorCode.policy_violation),
        ("compact,delete", ErrorCode.none),
        ("delete", ErrorCode.none),
    ],
)
def test_delete_records_of_a_topic_that_keeps_all_is_refused(
    log: RecordsLog, policy: str, code: ErrorCode
) -> None:
    log.state.topics["a"].configs = {"cleanup.policy": policy}
    assert delete(log, 1)[0] == code


def test_delete_records_without_an_outcome_times_out(log: RecordsLog) -> None:
    log.is_stuck = True

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        partitions = [{"partition_index": index, "offset": 0} for index in (0, 1)]
        topics = [{"name": "a", "partitions": partitions}]
        response = await call(broker_on(log), "delete_records", 2, topics=topics, timeout=3000)
        for found in response.topics[0].partitions:
            assert (found.error_code, found.low_watermark) == (ErrorCode.request_timed_out, -1)
        return loop.time() - start

    assert run(scenario()) == 3.0


# OffsetForLeaderEpoch ----------------------------------------------------------------------------


def end_of_epoch(
    log: RecordsLog, epoch: int, *, current: int = -1, version: int = 4, topic: str = "a"
) -> tuple[ErrorCode, int, int]:
    """Return error code, leader epoch and end offset."""
    partition = {"partition": 0, "current_leader_epoch": current, "leader_epoch": epoch}
    topics = [{"topic": topic, "partitions": [partition]}]
    response = run(call(broker_on(log), "offset_for_leader_epoch", version, topics=topics))
    (found,) = response.topics[0].partitions
    return found.error_code, found.leader_epoch, found.end_offset


@pytest.mark.parametrize("version", range(2, 5))
def test_end_of_the_one_epoch_is_the_end_of_the_log(log: RecordsLog, version: int) -> None:
    assert end_of_epoch(log, 0, version=version) == (ErrorCode.none, 0, 10)


@pytest.mark.parametrize("epoch", [-1, 1])
def test_end_of_an_unknown_epoch_is_unknown(log: RecordsLog, epoch: int) -> None:
    assert end_of_epoch(log, epoch) == (ErrorCode.none, -1, -1)


@pytest.mark.parametrize(
    ("current", "code"),
    [(0, ErrorCode.none), (1, ErrorCode.unknown_leader_epoch), (-2, ErrorCode.fenced_leader_epoch)],
)
def test_end_of_epoch_for_who_believes_in_another_is_refused(
    log: RecordsLog, current: int, code: ErrorCode
) -> None:
    assert end_of_epoch(log, 0, current=current)[0] == code


def test_end_of_epoch_of_what_does_not_exist_says_so(log: RecordsLog) -> None:
    refused = end_of_epoch(log, 0, topic="nowhere")
    assert refused == (ErrorCode.unknown_topic_or_partition, -1, -1)


def test_end_of_epoch_is_current_or_fails(log: RecordsLog) -> None:
    log.error = Unavailable("no answer")
    assert end_of_epoch(log, 0) == (ErrorCode.kafka_storage_error, -1, -1)


# InitProducerId ----------------------------------------------------------------------------------


def init(log: RecordsLog, version: int = 6, **values: Any) -> tuple[ErrorCode, int, int]:
    """Return error code, producer id and epoch."""
    values = {"transactional_id": None, "transaction_timeout": 60_000, **values}
    response = run(call(broker_on(log), "init_producer_id", version, **values))
    return response.error_code, response.producer_id, response.producer_epoch


@pytest.mark.parametrize("version", range(7))
def test_init_producer_id_gives_each_another(log: RecordsLog, version: int) -> None:
    assert init(log, version) == (ErrorCode.none, 1001, 0)
    assert init(log, version) == (ErrorCode.none, 1002, 0)


def test_init_producer_id_with_an_old_id_gives_a_new_one(log: RecordsLog) -> None:
    assert init(log, producer_id=7, producer_epoch=3) == (ErrorCode.none, 1001, 0)


@pytest.mark.parametrize(
    ("transactional_id", "code"),
    [("tx", ErrorCode.transactional_id_authorization_failed), ("", ErrorCode.invalid_request)],
)
def test_init_producer_id_for_transactions_is_refused(
    log: RecordsLog, transactional_id: str, code: ErrorCode
) -> None:
    assert init(log, transactional_id=transactional_id) == (code, -1, -1)


@pytest.mark.parametrize("error", [Unavailable("full"), Indeterminate("who knows")])
def test_init_producer_id_that_fails_may_be_tried_again(
    log: RecordsLog, error: TidingsError
) -> None:
    log.error = error
    assert init(log) == (ErrorCode.coordinator_load_in_progress, -1, -1)
