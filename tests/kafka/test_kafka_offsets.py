"""Committed offsets: requests in every version, through bytes both ways."""

from typing import Any

from broker_in_memory import call
from group_requests import (
    T_ID,
    TopicsAndGroupsLog,
    become_stable,
    commit,
    fetch,
    in_every_version,
    once,
    serving,
    topic_of,
)
from kio.schema.errors import ErrorCode

from tidings.errors import Unavailable
from tidings.kafka.handlers.offsets import METADATA_BYTES_MAX


@in_every_version(8)
async def test_offset_commit_in_every_version(version: int) -> None:
    async with serving() as broker:
        answer = await commit(broker, version)
        (partition,) = answer.topics[0].partitions
        assert partition.error_code is ErrorCode.none
        fetched = await fetch(broker, 9, [topic_of(9, "t", [1, 0], "partition_indexes")])
        found, missing = fetched.topics[0].partitions
        assert (found.committed_offset, found.metadata) == (7, "mine")
        assert found.committed_leader_epoch == (3 if version >= 6 else -1)
        assert (missing.committed_offset, missing.error_code) == (-1, ErrorCode.none)


@in_every_version(8)
async def test_offset_commit_to_what_is_not_there_is_refused_by_partition(version: int) -> None:
    async with serving() as broker:
        partitions = [{"partition_index": number, "committed_offset": 1} for number in (1, 2)]
        for each in partitions:
            each["committed_metadata"] = ""  # type: ignore[assignment]  # a mixture on purpose
        answer = await call(
            broker,
            "offset_commit",
            version,
            group_id="g",
            retention_time=-1,
            topics=[
                topic_of(version, "t", partitions, "partitions"),
                topic_of(version, "other", partitions[:1], "partitions"),
            ],
        )
        codes = [[each.error_code for each in topic.partitions] for topic in answer.topics]
        unknown = ErrorCode.unknown_topic_or_partition
        other = ErrorCode.unknown_topic_id if version >= 10 else unknown
        assert codes == [[ErrorCode.none, unknown], [other]]


@once
async def test_offset_commit_may_go_back_but_not_below_zero() -> None:
    async with serving() as broker:
        for offset, code in (
            (9, ErrorCode.none),
            (2, ErrorCode.none),
            (-1, ErrorCode.invalid_request),
        ):
            answer = await commit(broker, 9, offset)
            assert answer.topics[0].partitions[0].error_code is code
        fetched = await fetch(broker, 9, None)
        assert fetched.topics[0].partitions[0].committed_offset == 2


@once
async def test_offset_commit_with_a_text_that_is_too_long_is_refused() -> None:
    async with serving() as broker:
        for size, code in ((0, ErrorCode.none), (1, ErrorCode.offset_metadata_too_large)):
            answer = await commit(broker, 9, metadata="x" * (METADATA_BYTES_MAX + size))
            assert answer.topics[0].partitions[0].error_code is code
        answer = await commit(broker, 9, metadata=None)
        assert answer.topics[0].partitions[0].error_code is ErrorCode.none


@in_every_version(8)
async def test_offset_commit_of_a_member_is_checked_in_every_version(version: int) -> None:
    async with serving() as broker:
        member_id = await become_stable(broker, None)
        for generation, code in ((1, ErrorCode.none), (0, ErrorCode.illegal_generation)):
            answer = await commit(
                broker,
                version,
                member_id=member_id,
                generation_id_or_member_epoch=generation,
            )
            assert answer.topics[0].partitions[0].error_code is code


@once
async def test_offset_commit_that_the_log_refuses_has_an_error() -> None:
    class Full(TopicsAndGroupsLog):
        async def commit_offsets(self, *_: Any, **__: Any) -> None:
            raise Unavailable("a full disk")

    async with serving(Full()) as broker:
        answer = await commit(broker, 9)
        (partition,) = answer.topics[0].partitions
        assert partition.error_code is ErrorCode.coordinator_not_available


@in_every_version(9)
async def test_offset_fetch_in_every_version(version: int) -> None:
    async with serving() as broker:
        await commit(broker, 9)
        wanted = [topic_of(version, "t", [0, 1], "partition_indexes")]
        found = await fetch(broker, version, wanted)
        offsets = [each.committed_offset for each in found.topics[0].partitions]
        assert offsets == [-1, 7]
        if version >= 2:
            assert found.error_code is ErrorCode.none
            everything = await fetch(broker, version, None)
            (topic,) = everything.topics
            assert [each.partition_index for each in topic.partitions] == [1]
            assert version < 10 or topic.topic_id == T_ID
        if version >= 5:
            assert found.topics[0].partitions[1].committed_leader_epoch == 3


@in_every_version(9)
async def test_offset_fetch_of_what_is_not_there_finds_no_offsets(version: int) -> None:
    async with serving() as broker:
        wanted = [topic_of(version, "other", [0], "partition_indexes")]
        found = await fetch(broker, version, wanted)
        (partition,) = found.topics[0].partitions
        assert (partition.committed_offset, partition.metadata) == (-1, "")
        expected = ErrorCode.unknown_topic_id if version >= 10 else ErrorCode.none
        assert partition.error_code is expected
        if version >= 2:
            assert (await fetch(broker, version, None)).topics == ()


@once
async def test_offset_delete_keeps_what_members_read() -> None:
    async with serving() as broker:
        wanted = [
            {"name": "t", "partitions": [{"partition_index": 1}]},
            {"name": "other", "partitions": [{"partition_index": 0}]},
        ]
        answer = await call(broker, "offset_delete", 0, group_id="g", topics=wanted)
        assert answer.error_code is ErrorCode.group_id_not_found
        member_id = await become_stable(broker, None)
        await commit(broker, 9, member_id=member_id, generation_id_or_member_epoch=1)
        answer = await call(broker, "offset_delete", 0, group_id="g", topics=wanted)
        codes = [topic.partitions[0].error_code for topic in answer.topics]
        assert codes == [
            ErrorCode.group_subscribed_to_topic,
            ErrorCode.unknown_topic_or_partition,
        ]
        members = [{"member_id": member_id}]
        await call(broker, "leave_group", 5, group_id="g", members=members)
        answer = await call(broker, "offset_delete", 0, group_id="g", topics=wanted[:1])
        assert answer.topics[0].partitions[0].error_code is ErrorCode.none
        assert (await fetch(broker, 9, None)).topics == ()
