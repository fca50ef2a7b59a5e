"""What the embedded log promises, on stores in memory and virtual time."""

import asyncio
import itertools
from datetime import UTC, datetime

import pytest
from embedded_memory import NOW_MS, with_log

from tidings.embedded import EmbeddedLog, NewRecord, Reading, Record, TopicInfo
from tidings.errors import InvalidRequest, OffsetOutOfRange, UnknownTopicOrPartition

HOUR_MS = 60 * 60 * 1000


async def values(reading: Reading) -> list[bytes | None]:
    return [record.value async for record in reading]


# Topics -----------------------------------------------------------------------------------------


def test_topic_is_created_once_and_grows() -> None:
    async def act(log: EmbeddedLog) -> None:
        assert await log.create_topic("a", 2, configs={"retention.ms": "1000"})
        assert not await log.create_topic("a", 5)
        await log.create_partitions("a", 3)
        assert await log.topics() == {"a": TopicInfo(3, {"retention.ms": "1000"})}
        await log.delete_topic("a")
        assert await log.topics() == {}

    with_log(act)


@pytest.mark.parametrize(
    ("topic", "partitions", "configs"),
    [
        ("", 1, {}),
        ("no spaces", 1, {}),
        ("a_b", 1, {}),
        ("new", 0, {}),
        ("new", 10_001, {}),
        ("new", 1, {"retention.hours": "1"}),
        ("new", 1, {"retention.ms": "soon"}),
    ],
)
def test_topic_that_a_broker_would_refuse_is_refused(
    topic: str, partitions: int, configs: dict[str, str]
) -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a.b")
        with pytest.raises(InvalidRequest):
            await log.create_topic(topic, partitions, configs=configs)
        assert list(await log.topics()) == ["a.b"]

    with_log(act)


def test_record_without_a_key_is_refused_by_a_compacted_topic() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", configs={"cleanup.policy": "compact"})
        with pytest.raises(InvalidRequest, match="no key"):
            await log.append("a", b"value")
        await log.append("a", b"value", key=b"key")
        assert await values(log.read("a")) == [b"value"]

    with_log(act)


def test_topic_that_does_not_exist_is_named_in_the_error() -> None:
    async def act(log: EmbeddedLog) -> None:
        for call in (log.append("gone", b""), log.offsets("gone"), log.committed("g", "gone")):
            with pytest.raises(UnknownTopicOrPartition, match="gone"):
                await call
        with pytest.raises(UnknownTopicOrPartition, match="create_topic"):
            log.read("gone")

    with_log(act)


# Records ----------------------------------------------------------------------------------------


def test_append_returns_the_record_that_is_read() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        headers = [("h", b"1"), ("h", None), ("\u00fc", b"")]
        first = await log.append("a", b"v", key=b"k", headers=headers, timestamp_ms=5)
        second = await log.append("a", None)
        assert first == Record("a", 0, 0, 5, b"k", b"v", tuple(headers))
        assert second == Record("a", 0, 1, NOW_MS, None, None)
        assert [record async for record in log.read("a")] == [first, second]
        assert await log.offsets("a") == {0: range(2)}

    with_log(act)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_append_many_returns_records_in_their_order_and_they_are_read(compression: str) -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 3)
        new = [NewRecord(b"v%d" % number, key=b"%d" % (number % 7)) for number in range(100)]
        appended = await log.append_many("a", new, compression=compression)  # type: ignore[arg-type] # one of them
        assert [(record.key, record.value) for record in appended] == [
            (record.key, record.value) for record in new
        ]
        read = [record async for record in log.read("a")]
        place = lambda record: (record.partition, record.offset)  # noqa: E731
        assert sorted(read, key=place) == sorted(appended, key=place)
        assert {record.partition for record in read} == {0, 1, 2}

    with_log(act)


def test_records_with_one_key_stay_in_one_partition_and_in_order() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 8)
        placed = [await log.append("a", b"%d" % number, key=b"k") for number in range(10)]
        assert len({record.partition for record in placed}) == 1
        assert await values(log.read("a")) == [b"%d" % number for number in range(10)]

    with_log(act)


def test_records_without_a_key_take_turns_call_by_call() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 2)
        placed = [await log.append_many("a", [b"1", b"2"]) for _ in range(4)]
        assert [[record.partition for record in call] for call in placed] == [
            [0, 0],
            [1, 1],
            [0, 0],
            [1, 1],
        ]

    with_log(act)


def test_append_many_of_more_than_a_batch_may_hold_makes_several() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", configs={"max.message.bytes": "2000"})
        appended = await log.append_many("a", [b"x" * 900] * 5)
        assert [record.offset for record in appended] == list(range(5))
        assert [record async for record in log.read("a")] == appended

    with_log(act)


def test_append_many_with_one_record_that_is_too_large_appends_nothing() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", configs={"max.message.bytes": "2000"})
        with pytest.raises(InvalidRequest, match=r"max\.message\.bytes"):
            await log.append_many("a", [b"small", b"x" * 3000])
        assert await log.offsets("a") == {0: range(0)}
        assert await log.append_many("a", []) == []

    with_log(act)


@pytest.mark.parametrize(
    "record",
    [
        "text",
        NewRecord("text"),  # type: ignore[arg-type] # that is the mistake
        NewRecord(b"", key="text"),  # type: ignore[arg-type] # that is the mistake
        NewRecord(b"", headers=[("h", "text")]),  # type: ignore[list-item] # that is the mistake
        NewRecord(b"", timestamp_ms=-1),
        NewRecord(b"", timestamp_ms=NOW_MS + 2 * HOUR_MS),
        NewRecord(b"", headers=[("\ud800", b"")]),
    ],
    ids=str,
)
def test_append_of_what_is_no_record_is_refused(record: NewRecord) -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        with pytest.raises(InvalidRequest):
            await log.append_many("a", [record])
        assert await log.offsets("a") == {0: range(0)}

    with_log(act)


def test_topic_with_log_append_time_gives_records_the_time_of_the_append() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", configs={"message.timestamp.type": "LogAppendTime"})
        record = await log.append("a", b"", timestamp_ms=5)
        assert record.timestamp_ms == NOW_MS
        assert [record async for record in log.read("a")] == [record]

    with_log(act)


# Reading ----------------------------------------------------------------------------------------


def test_read_ends_where_the_log_ended_when_it_was_asked_for() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        await log.append_many("a", [b"0", b"1"])
        reading = log.read("a")
        await log.append("a", b"2")
        assert await values(reading) == [b"0", b"1"]

    with_log(act)


def test_read_begins_in_the_middle_of_a_batch() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        await log.append_many("a", [b"%d" % number for number in range(5)])
        assert await values(log.read("a", start=3)) == [b"3", b"4"]
        assert await values(log.read("a", start={0: 4})) == [b"4"]
        assert await values(log.read("a", start="end")) == []
        for start in (-1, 6):
            with pytest.raises(OffsetOutOfRange, match="below 5"):
                log.read("a", start=start)

    with_log(act)


def test_read_begins_at_a_time() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 2)
        new = [NewRecord(b"%d" % number, timestamp_ms=1000 * number) for number in range(5)]
        await log.append_many("a", new, partition=1)
        for second, expected in ((0, 0), (2.5, 3), (4, 4), (5, 5)):
            starts = await log.offsets_at("a", datetime.fromtimestamp(second, UTC))
            assert starts == {0: 0, 1: expected}
            assert await values(log.read("a", start=starts)) == [
                record.value for record in new[expected:]
            ]
        with pytest.raises(InvalidRequest, match="time zone"):
            await log.offsets_at("a", datetime(2026, 1, 1))  # noqa: DTZ001 -- that is the mistake

    with_log(act)


def test_read_of_one_offset_in_many_partitions_is_refused() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 2)
        with pytest.raises(InvalidRequest, match="partition"):
            log.read("a", start=0)
        assert await values(log.read("a", partition=1, start=0)) == []
        with pytest.raises(UnknownTopicOrPartition):
            log.read("a", partition=2)

    with_log(act)


def test_follow_waits_for_records_of_every_partition() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 2)
        await log.append("a", b"before", partition=0)
        reading = log.follow("a", start="end")
        async with asyncio.TaskGroup() as tasks:
            two = tasks.create_task(take(reading, 2))
            await asyncio.sleep(5)
            await log.append("a", b"one", partition=1)
            await log.append("a", b"two", partition=0)
        assert [record.value for record in two.result()] == [b"one", b"two"]

    with_log(act)


async def take(reading: Reading, count: int) -> list[Record]:
    return [await anext(reading) for _ in range(count)]


def test_follow_whose_wait_is_cancelled_goes_on_without_a_gap() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        reading = log.follow("a")
        for number in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await anext(reading)
            await log.append("a", b"%d" % number)
            assert (await anext(reading)).value == b"%d" % number

    with_log(act)


def test_follow_ends_when_the_log_is_closed() -> None:
    async def act(log: EmbeddedLog) -> asyncio.Task[list[bytes | None]]:
        await log.create_topic("a")
        await log.append("a", b"1")
        # What outlives the log is the test's own fault, on purpose.
        task = asyncio.get_running_loop().create_task(values(log.follow("a")))
        await asyncio.sleep(1)
        return task

    assert with_log(act).result() == [b"1"]


def test_follow_of_a_topic_that_is_deleted_and_made_again_says_so() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        reading = log.follow("a")
        await log.delete_topic("a")
        await log.create_topic("a")
        await log.append("a", b"another")
        with pytest.raises(UnknownTopicOrPartition, match="deleted"):
            await anext(reading)

    with_log(act)


def test_partitions_take_turns_while_all_have_records() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a", 2)
        for partition in (0, 1):
            for _ in range(4):
                await log.append("a", b"x" * 200_000, partition=partition)
        seen = [record.partition async for record in log.read("a")]
        assert len(list(itertools.groupby(seen))) > 2

    with_log(act)


# Groups -----------------------------------------------------------------------------------------


def test_group_goes_on_after_what_it_committed() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        appended = await log.append_many("a", [b"0", b"1", b"2"])
        assert await log.committed("g", "a") == {}
        await log.commit("g", *appended[:2])
        assert await log.committed("g", "a") == {0: 2}
        assert await values(log.read("a", group="g")) == [b"2"]
        assert await values(log.read("a", group="another")) == [b"0", b"1", b"2"]
        assert await values(log.read("a", group="another", start="end")) == []

    with_log(act)


def test_commit_of_records_does_not_go_back_and_of_offsets_does() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        first, second = await log.append_many("a", [b"0", b"1"])
        await log.commit("g", second)
        await log.commit("g", first)
        assert await log.committed("g", "a") == {0: 2}
        await log.commit_offsets("g", "a", {0: 1})
        assert await log.committed("g", "a") == {0: 1}
        with pytest.raises(InvalidRequest):
            await log.commit_offsets("g", "a", {0: -1})
        with pytest.raises(InvalidRequest):
            await log.commit("", first)

    with_log(act)


def test_append_with_a_commit_does_both_or_neither() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("in")
        await log.create_topic("out")
        order = await log.append("in", b"order")
        with pytest.raises(UnknownTopicOrPartition):
            await log.append("gone", b"invoice", commit=("billing", order))
        gone = Record("gone", 0, 0, 0, None, None)
        with pytest.raises(UnknownTopicOrPartition):
            await log.append("out", b"invoice", commit=("billing", [order, gone]))
        assert await log.committed("billing", "in") == {}
        assert await log.offsets("out") == {0: range(0)}
        await log.append("out", b"invoice", commit=("billing", order))
        assert await log.committed("billing", "in") == {0: 1}
        assert await log.offsets("out") == {0: range(1)}

    with_log(act)


def test_append_of_nothing_with_a_commit_commits() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("in")
        order = await log.append("in", b"order")
        assert await log.append_many("in", [], commit=("billing", order)) == []
        assert await log.committed("billing", "in") == {0: 1}

    with_log(act)


# The end ----------------------------------------------------------------------------------------


def test_log_that_was_closed_says_so() -> None:
    async def act(log: EmbeddedLog) -> EmbeddedLog:
        await log.create_topic("a")
        return log

    log = with_log(act)
    with pytest.raises(InvalidRequest, match="closed"):
        log.read("a")


def test_append_under_way_when_the_log_is_closed_is_waited_for() -> None:
    async def act(log: EmbeddedLog) -> asyncio.Task[Record]:
        await log.create_topic("a")
        task = asyncio.get_running_loop().create_task(log.append("a", b"late"))
        await asyncio.sleep(0)
        return task

    assert with_log(act).result().offset == 0


def test_error_in_the_block_comes_out_as_it_is() -> None:
    async def act(log: EmbeddedLog) -> None:
        await log.create_topic("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        with_log(act)
