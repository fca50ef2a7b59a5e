import asyncio
import uuid
from typing import Any

import pytest
from batches_made import MadeRecord, batch_of
from broker_in_memory import broker_on, call
from kio.schema.errors import ErrorCode
from records_log import RecordsLog

from tidings.errors import Corrupt
from tidings.kafka.broker import Broker
from tidings.kafka.record_batch import read_header
from tidings.testing.loop import run
from tidings.types import Offset, TopicPartition

A0, A1 = TopicPartition("a", 0), TopicPartition("a", 1)
BATCH = batch_of([MadeRecord()] * 3)
LARGE = batch_of([MadeRecord(value=bytes(10_000))])
VERSIONS = range(4, 19)


def partition_of(
    index: int = 0, offset: int = 0, size_bytes_max: int = 1 << 20, **more: Any
) -> dict[str, Any]:
    return {
        "partition": index,
        "fetch_offset": offset,
        "partition_max_bytes": size_bytes_max,
        **more,
    }


def body(*partitions: dict[str, Any], topic: str = "a", **more: Any) -> dict[str, Any]:
    topic_id = uuid.UUID(int=1 if topic == "a" else 9)
    topics = [{"topic": topic, "topic_id": topic_id, "partitions": partitions}]
    return {
        "replica_id": -1,
        "max_wait": 0,
        "min_bytes": 1,
        "max_bytes": 1 << 20,
        "session_epoch": -1,
        "topics": topics,
        **more,
    }


async def ask(broker: Broker, *partitions: dict[str, Any], version: int = 12, **more: Any) -> Any:
    return await call(broker, "fetch", version, **body(*partitions, **more))


def fetch(log: RecordsLog, *partitions: dict[str, Any], **more: Any) -> list[Any]:
    """Fetch from topic `a`; return what the answer says of each partition."""
    response = run(ask(broker_on(log), *partitions, **more))
    (topic,) = response.responses
    return list(topic.partitions)


def base_offsets(records: bytes) -> list[int]:
    """Return the base offsets of the batches in a piece of a log."""
    found = []
    while records:
        header = read_header(records)
        found.append(header.base_offset)
        records = records[12 + header.length_bytes :]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_fetch_of_every_version_gives_the_batches(version: int) -> None:
    log = RecordsLog(a=1)
    for data in (BATCH, LARGE, BATCH):
        log.add(A0, data)
    (found,) = fetch(log, partition_of(), version=version)
    assert found.error_code == ErrorCode.none
    assert found.high_watermark == found.last_stable_offset == 7
    assert base_offsets(found.records) == [0, 3, 4]
    assert found.records[16 : len(BATCH)] == BATCH[16:]
    assert len(found.records) == 2 * len(BATCH) + len(LARGE)


def test_fetch_by_topic_id_is_answered_by_topic_id() -> None:
    log = RecordsLog(a=1)
    response = run(ask(broker_on(log), partition_of(), version=13))
    assert response.responses[0].topic_id == uuid.UUID(int=1)


def test_fetch_in_the_middle_of_a_batch_gives_all_of_it() -> None:
    log = RecordsLog(a=1)
    log.add(A0, BATCH)
    (found,) = fetch(log, partition_of(offset=2), max_wait=500)
    assert base_offsets(found.records) == [0]
    assert log.fetches == 1


def test_fetch_at_the_end_gives_nothing() -> None:
    log = RecordsLog(a=1)
    log.add(A0, BATCH)
    (found,) = fetch(log, partition_of(offset=3))
    assert (found.error_code, found.high_watermark, found.records) == (ErrorCode.none, 3, b"")
    assert log.fetches == 0


@pytest.mark.parametrize("offset", [0, 4, -1])
def test_fetch_outside_the_log_is_out_of_range(offset: int) -> None:
    log = RecordsLog(a=1)
    log.add(A0, BATCH)
    log.state.log_starts[A0] = Offset(1)
    (found,) = fetch(log, partition_of(offset=offset))
    assert found.error_code == ErrorCode.offset_out_of_range
    assert (found.high_watermark, found.log_start_offset) == (-1, -1)
    assert found.records == b""


def test_fetch_tells_where_the_log_starts() -> None:
    log = RecordsLog(a=1)
    log.add(A0, BATCH)
    log.state.log_starts[A0] = Offset(1)
    (found,) = fetch(log, partition_of(offset=1))
    assert (found.error_code, found.log_start_offset) == (ErrorCode.none, 1)


def test_fetch_of_what_does_not_exist_says_so() -> None:
    log = RecordsLog(a=1)
    (found,) = fetch(log, partition_of(7))
    assert found.error_code == ErrorCode.unknown_topic_or_partition
    (found,) = fetch(log, partition_of(0), topic="nowhere")
    assert found.error_code == ErrorCode.unknown_topic_or_partition
    (found,) = fetch(log, partition_of(0), topic="nowhere", version=13)
    assert found.error_code == ErrorCode.unknown_topic_id


@pytest.mark.parametrize(
    ("epoch", "code"),
    [
        (-1, ErrorCode.none),
        (0, ErrorCode.none),
        (1, ErrorCode.unknown_leader_epoch),
        (-2, ErrorCode.fenced_leader_epoch),
    ],
)
def test_fetch_with_a_leader_epoch_is_checked(epoch: int, code: ErrorCode) -> None:
    (found,) = fetch(RecordsLog(a=1), partition_of(current_leader_epoch=epoch))
    assert found.error_code == code


def test_fetch_of_what_cannot_be_read_tells_of_that_partition() -> None:
    log = RecordsLog(a=2)
    log.add(A0, BATCH)
    log.error = Corrupt("spoiled")
    bad, good = fetch(log, partition_of(0), partition_of(1))
    assert (bad.error_code, good.error_code) == (ErrorCode.corrupt_message, ErrorCode.none)


@pytest.mark.parametrize(("isolation_level", "aborted"), [(0, None), (1, ())])
def test_fetch_lists_aborted_transactions_only_for_who_reads_committed_records(
    isolation_level: int, aborted: tuple[()] | None
) -> None:
    (found,) = fetch(RecordsLog(a=1), partition_of(), isolation_level=isolation_level)
    assert found.aborted_transactions == aborted


# Limits ------------------------------------------------------------------------------------------


def test_fetch_with_tiny_limits_gives_one_batch_of_one_partition() -> None:
    log = RecordsLog(a=100)
    for index in range(100):
        log.add(TopicPartition("a", index), BATCH)
        log.add(TopicPartition("a", index), BATCH)
    found = fetch(log, *[partition_of(index) for index in range(100)], max_bytes=1)
    assert [len(partition.records) for partition in found] == [len(BATCH)] + [0] * 99


def test_fetch_does_not_give_each_partition_a_batch_that_does_not_fit() -> None:
    log = RecordsLog(a=2)
    log.add(A0, BATCH)
    log.add(A1, LARGE)
    small, large = fetch(log, partition_of(0), partition_of(1), max_bytes=len(BATCH) + 100)
    assert (len(small.records), large.records) == (len(BATCH), b"")
    assert large.high_watermark == 1
    small, large = fetch(log, partition_of(0), partition_of(1, size_bytes_max=100))
    assert (len(small.records), large.records) == (len(BATCH), b"")


def test_fetch_gives_a_partition_only_what_the_others_left() -> None:
    log = RecordsLog(a=3)
    for index in range(3):
        log.add(TopicPartition("a", index), BATCH)
    found = fetch(log, *map(partition_of, range(3)), max_bytes=2 * len(BATCH) + 1)
    assert [len(partition.records) for partition in found] == [len(BATCH), len(BATCH), 0]


def test_fetch_of_the_first_batch_may_exceed_the_partitions_limit() -> None:
    log = RecordsLog(a=2)
    log.add(A1, LARGE)
    log.add(A1, LARGE)
    empty, large = fetch(log, partition_of(0), partition_of(1, size_bytes_max=100))
    assert (empty.records, len(large.records)) == (b"", len(LARGE))


def test_fetch_stays_within_the_limit_of_a_partition() -> None:
    log = RecordsLog(a=1)
    for _ in range(5):
        log.add(A0, BATCH)
    (found,) = fetch(log, partition_of(size_bytes_max=3 * len(BATCH) + 1))
    assert base_offsets(found.records) == [0, 3, 6]


def test_fetch_again_and_again_favours_each_partition_in_turn() -> None:
    log = RecordsLog(a=3)
    for index in range(3):
        log.add(TopicPartition("a", index), LARGE)
    broker = broker_on(log)

    async def favoured() -> list[int]:
        response = await ask(broker, *map(partition_of, range(3)), max_bytes=1)
        partitions = response.responses[0].partitions
        assert [partition.partition_index for partition in partitions] == [0, 1, 2]
        return [partition.partition_index for partition in partitions if partition.records]

    assert [run(favoured()) for _ in range(4)] == [[0], [1], [2], [0]]


# Patience ----------------------------------------------------------------------------------------


async def timed_fetch(log: RecordsLog, at_s: dict[float, bytes], **more: Any) -> tuple[Any, float]:
    """Fetch while batches arrive at some times; return the first partition, and the time taken."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for delay_s, data in at_s.items():
        loop.call_later(delay_s, log.add, A0, data)
    response = await ask(broker_on(log), partition_of(), partition_of(1), **more)
    return response.responses[0].partitions[0], loop.time() - start


def test_fetch_without_records_waits_as_long_as_the_client_wants() -> None:
    log = RecordsLog(a=2)
    found, waited_s = run(timed_fetch(log, {}, max_wait=500))
    assert (found.error_code, found.records, waited_s) == (ErrorCode.none, b"", 0.5)
    assert log.watches == []


def test_fetch_that_waits_is_answered_when_records_arrive() -> None:
    log = RecordsLog(a=2)
    found, waited_s = run(timed_fetch(log, {0.2: BATCH}, max_wait=500))
    assert (base_offsets(found.records), waited_s) == ([0], 0.2)
    assert log.watches == []


def test_fetch_waits_until_there_are_enough_bytes() -> None:
    log = RecordsLog(a=2)
    arrivals = {0.1: BATCH, 0.2: BATCH, 0.3: BATCH}
    found, waited_s = run(timed_fetch(log, arrivals, max_wait=500, min_bytes=len(BATCH) + 1))
    assert (base_offsets(found.records), waited_s) == ([0, 3], 0.2)


def test_fetch_with_too_few_bytes_in_the_end_gives_what_there_is() -> None:
    log = RecordsLog(a=2)
    found, waited_s = run(timed_fetch(log, {0.1: BATCH}, max_wait=500, min_bytes=10_000))
    assert (base_offsets(found.records), waited_s) == ([0], 0.5)


def test_fetch_that_wants_no_bytes_does_not_wait() -> None:
    _, waited_s = run(timed_fetch(RecordsLog(a=2), {}, max_wait=500, min_bytes=0))
    assert waited_s == 0


def test_fetch_with_an_error_does_not_wait() -> None:
    found, waited_s = run(timed_fetch(RecordsLog(b=1), {}, max_wait=500))
    assert (found.error_code, waited_s) == (ErrorCode.unknown_topic_or_partition, 0)


def test_fetch_notices_what_arrives_while_it_looks() -> None:
    log = RecordsLog(a=2)
    log.add(A1, BATCH)
    looks = 0

    def arrive() -> None:
        nonlocal looks
        looks += 1
        # The second look is the first with the watch open; partition 0 has been looked at.
        if looks == 2:
            log.add(A0, BATCH)

    log.before_fetch = arrive
    more = {"max_wait": 500, "min_bytes": 2 * len(BATCH)}
    found, waited_s = run(timed_fetch(log, {}, **more))
    assert (base_offsets(found.records), waited_s) == ([0], 0)


def test_fetch_of_no_partitions_is_answered_at_once() -> None:
    response = run(call(broker_on(RecordsLog(a=1)), "fetch", 12, **{**body(), "topics": []}))
    assert response.responses == ()


# Sessions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session_id", "session_epoch", "code"),
    [
        (0, -1, ErrorCode.none),
        (0, 0, ErrorCode.none),
        (5, -1, ErrorCode.none),
        (5, 0, ErrorCode.none),
        (5, 1, ErrorCode.fetch_session_id_not_found),
        (0, 1, ErrorCode.fetch_session_id_not_found),
    ],
)
def test_fetch_makes_no_session_and_knows_none(
    session_id: int, session_epoch: int, code: ErrorCode
) -> None:
    more = {"session_id": session_id, "session_epoch": session_epoch}
    response = run(ask(broker_on(RecordsLog(a=1)), partition_of(), **more))
    assert (response.error_code, response.session_id) == (code, 0)
    assert len(response.responses) == (code == ErrorCode.none)
