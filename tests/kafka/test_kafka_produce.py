import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from batches_made import FIRST_MS, MadeRecord, batch_of
from broker_in_memory import (
    ANSWER_BYTES_MAX,
    PEER,
    answer_bytes,
    broker_on,
    call,
    read_response,
    request_frame,
)
from kio.schema.errors import ErrorCode
from records_log import RecordsLog

from tidings.core.results import Placed, Reason, Refused
from tidings.errors import Indeterminate, InvalidRequest, TidingsError, Unavailable
from tidings.kafka.answering import accept, answer
from tidings.kafka.broker import Broker
from tidings.kafka.codec import Prefix
from tidings.kafka.handlers import produce_one
from tidings.kafka.handlers.produce import TIMEOUT_S_MIN
from tidings.kafka.record_batch import read_header
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A0 = TopicPartition("a", 0)
GOOD = batch_of([MadeRecord(5), MadeRecord(7)])
BAD = GOOD[:-1] + b"?"
VERSIONS = range(3, 14)
HOUR_MS = 60 * 60 * 1000


def body(*records: bytes | None, acks: int = -1, topic: str = "a", **more: Any) -> dict[str, Any]:
    """Return a request that has one item of `records` for each partition from 0 on."""
    partitions = [{"index": index, "records": data} for index, data in enumerate(records)]
    topic_id = uuid.UUID(int=1 if topic == "a" else 9)
    topics = [{"name": topic, "topic_id": topic_id, "partition_data": partitions}]
    return {"acks": acks, "timeout": 5000, "topic_data": topics, **more}


def produce(
    log: RecordsLog, *records: bytes | None, version: int = 9, **more: Any
) -> list[dict[str, Any]]:
    """Produce to the partitions from 0 on; return what the answer says of each."""
    response = run(call(broker_on(log), "produce", version, **body(*records, **more)))
    (topic,) = response.responses
    return [fields(partition) for partition in topic.partition_responses]


def fields(partition: Any) -> dict[str, Any]:
    return {
        "code": partition.error_code,
        "offset": partition.base_offset,
        "start": getattr(partition, "log_start_offset", None),
        "text": getattr(partition, "error_message", None),
        "time": partition.log_append_time,
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_produce_of_two_batches_appends_them_at_once(version: int) -> None:
    log = RecordsLog(a=2)
    log.add(A0, GOOD)
    answers = produce(log, GOOD, batch_of(), version=version)
    assert [(one["code"], one["offset"]) for one in answers] == [
        (ErrorCode.none, 2),
        (ErrorCode.none, 0),
    ]
    (batches,) = log.appended
    assert [(new.partition.partition, new.record_count) for new in batches] == [(0, 2), (1, 1)]
    assert batches[0].data == GOOD
    assert batches[0].max_timestamp_ms == 7
    assert batches[0].producer is None


@pytest.mark.parametrize("acks", [-1, 1])
def test_produce_with_acknowledgement_gets_one(acks: int) -> None:
    assert produce(RecordsLog(a=1), GOOD, acks=acks)[0]["code"] == ErrorCode.none


@pytest.mark.parametrize("acks", [2, -2])
def test_produce_with_strange_acks_is_refused(acks: int) -> None:
    log = RecordsLog(a=1)
    (one,) = produce(log, GOOD, acks=acks)
    assert (one["code"], one["offset"]) == (ErrorCode.invalid_required_acks, -1)
    assert log.appended == []


def test_produce_of_a_bad_batch_leaves_the_others_alone() -> None:
    log = RecordsLog(a=3)
    bad, good, unknown = produce(log, BAD, GOOD, GOOD, version=8)[:3]
    assert (bad["code"], bad["offset"], bad["start"]) == (ErrorCode.corrupt_message, -1, -1)
    assert "CRC" in bad["text"]
    assert (good["code"], good["offset"], good["start"], good["text"]) == (
        ErrorCode.none,
        0,
        0,
        None,
    )
    assert unknown["code"] == ErrorCode.none


def test_produce_to_what_does_not_exist_says_so() -> None:
    log = RecordsLog(a=1)
    known, unknown = produce(log, GOOD, GOOD)
    assert known["code"] == ErrorCode.none
    assert (unknown["code"], unknown["offset"]) == (ErrorCode.unknown_topic_or_partition, -1)
    (topic,) = produce(log, GOOD, topic="nowhere")
    assert topic["code"] == ErrorCode.unknown_topic_or_partition
    (by_id,) = produce(log, GOOD, topic="nowhere", version=13)
    assert by_id["code"] == ErrorCode.unknown_topic_id


def test_produce_by_topic_id_is_answered_by_topic_id() -> None:
    log = RecordsLog(a=1)
    response = run(call(broker_on(log), "produce", 13, **body(GOOD)))
    assert response.responses[0].topic_id == uuid.UUID(int=1)
    assert log.appended[0][0].partition == A0


def test_produce_with_a_transactional_id_is_refused() -> None:
    log = RecordsLog(a=1)
    (one,) = produce(log, GOOD, transactional_id="tx")
    assert one["code"] == ErrorCode.transactional_id_authorization_failed
    assert log.appended == []


def test_produce_beyond_the_topics_size_limit_is_refused() -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = {"max.message.bytes": str(len(GOOD) - 1)}
    assert produce(log, GOOD)[0]["code"] == ErrorCode.message_too_large
    log.state.topics["a"].configs = {"max.message.bytes": str(len(GOOD))}
    assert produce(log, GOOD)[0]["code"] == ErrorCode.none


def test_produce_beyond_the_default_size_limit_is_refused() -> None:
    near = 1024 * 1024 - 200
    largest = near + 1024 * 1024 + 12 - len(batch_of([MadeRecord(0, bytes(near))]))
    log = RecordsLog(a=1)
    assert produce(log, batch_of([MadeRecord(0, bytes(largest))]))[0]["code"] == ErrorCode.none
    too_large = batch_of([MadeRecord(0, bytes(largest + 1))])
    assert produce(log, too_large)[0]["code"] == ErrorCode.message_too_large


def test_produce_with_log_append_time_sets_the_time() -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = {"message.timestamp.type": "LogAppendTime"}
    broker = broker_on(log)
    now_ms = broker.clock.now_ms()
    response = run(call(broker, "produce", 9, **body(batch_of([MadeRecord(now_ms + 2 * HOUR_MS)]))))
    (partition,) = response.responses[0].partition_responses
    assert partition.log_append_time.timestamp() * 1000 == now_ms
    stored = log.appended[0][0]
    assert stored.max_timestamp_ms == now_ms
    assert read_header(stored.data).has_log_append_time


def test_produce_with_create_time_tells_no_time() -> None:
    assert produce(RecordsLog(a=1), GOOD)[0]["time"] is None


@pytest.mark.parametrize(
    ("configs", "delta_ms", "code"),
    [
        ({}, HOUR_MS, ErrorCode.none),
        ({}, HOUR_MS + 1, ErrorCode.invalid_timestamp),
        ({"message.timestamp.after.max.ms": "10"}, 11, ErrorCode.invalid_timestamp),
        ({"message.timestamp.after.max.ms": "10"}, 10, ErrorCode.none),
        ({"message.timestamp.before.max.ms": "10"}, -11, ErrorCode.invalid_timestamp),
        ({"message.timestamp.before.max.ms": "10"}, -10, ErrorCode.none),
    ],
)
def test_produce_of_a_record_far_from_now_is_refused(
    configs: Mapping[str, str], delta_ms: int, code: ErrorCode
) -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = dict(configs)
    now_ms = broker_on(log).clock.now_ms()
    records = [MadeRecord(now_ms), MadeRecord(now_ms + delta_ms)]
    assert produce(log, batch_of(records))[0]["code"] == code


def test_produce_of_records_that_cannot_be_read_is_refused_where_their_times_matter() -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = {"message.timestamp.before.max.ms": "10"}
    nonsense = batch_of([MadeRecord(FIRST_MS)], attributes=4, payload=b"no zstd")
    assert produce(log, nonsense)[0]["code"] == ErrorCode.invalid_record


KEYED, KEYLESS = MadeRecord(FIRST_MS, key=b"k"), MadeRecord(FIRST_MS)


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
@pytest.mark.parametrize("time_type", ["CreateTime", "LogAppendTime"])
@pytest.mark.parametrize("compression", [0, 4])
def test_produce_to_a_compacted_topic_needs_keys(
    policy: str, time_type: str, compression: int
) -> None:
    log = RecordsLog(a=2)
    configs = {"cleanup.policy": policy, "message.timestamp.type": time_type}
    log.state.topics["a"].configs = configs
    good = batch_of([KEYED, MadeRecord(FIRST_MS, None, key=b"")], attributes=compression)
    bad = batch_of([KEYED, KEYLESS, KEYED], attributes=compression)
    accepted, refused = produce(log, good, bad)
    assert accepted["code"] == ErrorCode.none
    assert (refused["code"], refused["offset"]) == (ErrorCode.invalid_record, -1)
    assert "record 1 of the batch has no key" in refused["text"]
    assert [one["code"] for one in produce(log, good)] == [ErrorCode.none]
    assert [one["code"] for one in produce(log, bad)] == [ErrorCode.invalid_record]


def test_produce_to_a_compacted_topic_of_what_cannot_be_read_is_refused() -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = {"cleanup.policy": "compact"}
    nonsense = batch_of([KEYED], attributes=4, payload=b"no zstd")
    assert produce(log, nonsense)[0]["code"] == ErrorCode.invalid_record


def test_produce_to_any_other_topic_needs_no_keys() -> None:
    log = RecordsLog(a=1)
    log.state.topics["a"].configs = {"cleanup.policy": "delete"}
    assert produce(log, batch_of([KEYLESS]))[0]["code"] == ErrorCode.none


def test_produce_of_an_idempotent_producer_passes_its_stamp_on() -> None:
    log = RecordsLog(a=1)
    produce(log, batch_of(producer=(4, 2, 17)))
    stamp = log.appended[0][0].producer
    assert stamp is not None
    assert (stamp.producer_id, stamp.epoch, stamp.base_sequence) == (4, 2, 17)


def test_produce_of_a_duplicate_gets_the_first_offset() -> None:
    log = RecordsLog(a=1)
    log.refusals = [Placed(Offset(42), duplicate=True)]
    assert produce(log, GOOD)[0]["offset"] == 42


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.OUT_OF_ORDER_SEQUENCE, ErrorCode.out_of_order_sequence_number),
        (Reason.FENCED, ErrorCode.invalid_producer_epoch),
    ],
)
def test_produce_that_the_log_refuses_leaves_the_others_alone(
    reason: Reason, code: ErrorCode
) -> None:
    log = RecordsLog(a=2)
    log.refusals = [Refused(reason)]
    refused, good = produce(log, GOOD, GOOD)
    assert (refused["code"], refused["offset"]) == (code, -1)
    assert good["code"] == ErrorCode.none


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("full"), ErrorCode.kafka_storage_error),
        (Indeterminate("who knows"), ErrorCode.request_timed_out),
    ],
)
def test_produce_that_fails_as_a_whole_fails_for_each_partition(
    error: TidingsError, code: ErrorCode
) -> None:
    log = RecordsLog(a=2)
    log.error = error
    answers = produce(log, GOOD, GOOD)
    assert [(one["code"], one["offset"], one["start"]) for one in answers] == [(code, -1, -1)] * 2


@pytest.mark.parametrize(("timeout_ms", "waited_s"), [(5000, 5.0), (0, TIMEOUT_S_MIN)])
def test_produce_without_an_outcome_times_out(timeout_ms: int, waited_s: float) -> None:
    log = RecordsLog(a=1)
    log.is_stuck = True

    async def scenario() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        values = {**body(GOOD), "timeout": timeout_ms}
        return await call(broker_on(log), "produce", 9, **values), loop.time() - start

    response, waited = run(scenario())
    (partition,) = response.responses[0].partition_responses
    assert (partition.error_code, partition.base_offset) == (ErrorCode.request_timed_out, -1)
    assert waited == waited_s


def ask_without_acknowledgement(broker: Broker, data: bytes) -> bytes:
    frame = request_frame("produce", 9, body(data, acks=0))
    return run(answer_bytes(broker, frame))


def test_produce_without_acknowledgement_is_appended_and_not_answered() -> None:
    log = RecordsLog(a=1)
    assert ask_without_acknowledgement(broker_on(log), GOOD) == b""
    assert log.state.end_offset(A0) == 2


def test_produce_without_acknowledgement_that_fails_closes_the_connection() -> None:
    with pytest.raises(InvalidRequest, match="CRC"):
        ask_without_acknowledgement(broker_on(RecordsLog(a=1)), BAD)


# The short way ------------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = {
    "good": {},
    "good, leader only": {"acks": 1},
    "not acknowledged": {"acks": 0},
    "bad": {"records": (BAD,)},
    "no records": {"records": (None,)},
    "two": {"records": (GOOD, GOOD)},
    "idempotent": {"records": (batch_of(producer=(4, 2, 17)),)},
    "elsewhere": {"topic": "nowhere"},
    "transactional": {"transactional_id": "tx"},
}


def answer_of(log: RecordsLog, frame: bytes, *, with_a_task: bool) -> bytes:
    broker = broker_on(log)
    if not with_a_task:
        return run(answer_bytes(broker, frame))
    pending = accept(frame, broker.settings)
    return b"".join(run(answer(broker, PEER, pending, ANSWER_BYTES_MAX)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_produce_without_a_task_is_answered_as_with_one(case: str, version: int) -> None:
    values = CASES[case]
    records = values.get("records", (GOOD,))
    rest = {key: value for key, value in values.items() if key != "records"}
    frame = request_frame("produce", version, body(*records, **rest))
    answers, appended = [], []
    for with_a_task in (False, True):
        log = RecordsLog(a=2)
        log.add(A0, GOOD)
        answers.append(answer_of(log, frame, with_a_task=with_a_task))
        appended.append(log.appended)
    assert answers[0] == answers[1]
    assert appended[0] == appended[1]


@pytest.mark.parametrize("version", range(9, 14))
@pytest.mark.parametrize("failure", ["refused", "unavailable", "at once", "late"])
def test_produce_that_fails_the_short_way_is_answered_as_by_the_long_one(
    version: int, failure: str
) -> None:
    frame = request_frame("produce", version, body(GOOD))
    answers = []
    for with_a_task in (False, True):
        log = RecordsLog(a=1)
        log.refusals = [Refused(Reason.FENCED)] if failure == "refused" else []
        log.error = Unavailable("full") if failure in {"unavailable", "at once"} else None
        log.refuses_at_once = failure == "at once"
        log.is_stuck = failure == "late"
        answers.append(answer_of(log, frame, with_a_task=with_a_task))
    assert answers[0] == answers[1]
    response = read_response("produce", version, answers[0])
    (partition,) = response.responses[0].partition_responses
    assert partition.error_code != ErrorCode.none
    assert partition.base_offset == -1


def goes_the_short_way(log: RecordsLog, version: int, **values: Any) -> bool:
    async def main() -> bool:
        frame = request_frame("produce", version, body(GOOD, **values))
        work = produce_one.begin(broker_on(log), Prefix(0, version, 7), frame)
        return work is not None

    return run(main())


def test_produce_goes_the_short_way_unless_something_is_special() -> None:
    log = RecordsLog(a=1)
    assert all(goes_the_short_way(log, version) for version in range(9, 14))
    assert not goes_the_short_way(log, 8)
    assert not goes_the_short_way(log, 9, acks=0)
    assert not goes_the_short_way(log, 9, topic="nowhere")
    for configs in [
        {"message.timestamp.type": "LogAppendTime"},
        {"message.timestamp.before.max.ms": "10"},
        {"max.message.bytes": "10"},
    ]:
        log.state.topics["a"].configs = configs
        assert not goes_the_short_way(log, 9)
    log.state.topics["a"].configs = {"retention.ms": "10"}
    assert goes_the_short_way(log, 9)


def test_produce_of_nothing_is_answered_with_nothing() -> None:
    values = {"acks": -1, "timeout": 100, "topic_data": []}
    response = run(call(broker_on(RecordsLog(a=1)), "produce", 9, **values))
    assert response.responses == ()
    assert response.throttle_time == timedelta(0)
