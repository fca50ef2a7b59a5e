"""Members and whole groups: requests in every version, through bytes both ways."""

import asyncio
from typing import Any

import pytest
from broker_in_memory import call
from group_requests import (
    SUBSCRIPTION,
    TopicsAndGroupsLog,
    become_stable,
    commit,
    in_every_version,
    join,
    once,
    serving,
    sync,
)
from kio.schema.errors import ErrorCode

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.kafka.handlers.group_admin import GROUP_OPERATIONS
from tidings.testing.loop import run

# Members ----------------------------------------------------------------------------------------


@in_every_version(11)
async def test_join_group_in_every_version(version: int) -> None:
    async with serving() as broker:
        place = await join(broker, version)
        if version >= 4:
            assert place.error_code is ErrorCode.member_id_required
            assert place.generation_id == -1
            assert place.protocol_name == (None if version >= 7 else "")
            place = await join(broker, version, member_id=place.member_id)
        assert place.error_code is ErrorCode.none
        assert (place.generation_id, place.protocol_name) == (1, "range")
        assert place.leader == place.member_id
        assert place.member_id.startswith("tests-")
        assert [member.metadata for member in place.members] == [SUBSCRIPTION]
        if version >= 7:
            assert place.protocol_type == "consumer"


@in_every_version(14)
async def test_sync_group_in_every_version(version: int) -> None:
    async with serving() as broker:
        place = await join(broker, 0)
        answer = await sync(broker, version, member_id=place.member_id)
        assert (answer.error_code, answer.assignment) == (ErrorCode.none, b"all")
        if version >= 5:
            assert (answer.protocol_type, answer.protocol_name) == ("consumer", "range")
        refused = await sync(broker, version, member_id="x")
        assert (refused.error_code, refused.assignment) == (ErrorCode.unknown_member_id, b"")


@once
async def test_sync_group_that_does_not_name_its_protocol_is_refused_from_v5_on() -> None:
    async with serving() as broker:
        place = await join(broker, 0)
        for version, code in ((4, ErrorCode.none), (5, ErrorCode.inconsistent_group_protocol)):
            answer = await sync(broker, version, member_id=place.member_id, protocol_name=None)
            assert answer.error_code is code


@in_every_version(12)
async def test_heartbeat_in_every_version(version: int) -> None:
    async with serving() as broker:
        member_id = await become_stable(broker, None)
        for generation, code in ((1, ErrorCode.none), (0, ErrorCode.illegal_generation)):
            answer = await call(
                broker,
                "heartbeat",
                version,
                group_id="g",
                generation_id=generation,
                member_id=member_id,
            )
            assert answer.error_code is code


@once
async def test_heartbeat_of_a_replaced_static_member_is_fenced() -> None:
    async with serving() as broker:
        member_id = await become_stable(broker)
        again = await join(broker, group_instance_id="i1")
        assert (again.error_code, again.generation_id) == (ErrorCode.none, 1)
        assert again.skip_assignment
        answer = await call(
            broker,
            "heartbeat",
            3,
            group_id="g",
            generation_id=1,
            member_id=member_id,
            group_instance_id="i1",
        )
        assert answer.error_code is ErrorCode.fenced_instance_id


@in_every_version(13)
async def test_leave_group_in_every_version(version: int) -> None:
    async with serving() as broker:
        member_id = await become_stable(broker, None)
        for expected in (ErrorCode.none, ErrorCode.unknown_member_id):
            identity = {"member_id": member_id}
            values: dict[str, Any] = identity if version < 3 else {"members": [identity]}
            answer = await call(broker, "leave_group", version, group_id="g", **values)
            if version < 3:
                assert answer.error_code is expected
            else:
                assert answer.error_code is ErrorCode.none
                assert [(m.member_id, m.error_code) for m in answer.members] == [
                    (member_id, expected)
                ]


@once
async def test_leave_group_by_instance_id() -> None:
    async with serving() as broker:
        await become_stable(broker)
        members = [{"member_id": "", "group_instance_id": name} for name in ("i1", "i2")]
        answer = await call(broker, "leave_group", 5, group_id="g", members=members)
        assert [(m.group_instance_id, m.error_code) for m in answer.members] == [
            ("i1", ErrorCode.none),
            ("i2", ErrorCode.unknown_member_id),
        ]


@pytest.mark.parametrize("module", ["join_group", "sync_group", "heartbeat", "leave_group"])
def test_group_without_a_name_has_no_members(module: str) -> None:
    async def scenario() -> None:
        async with serving() as broker:
            times = {"session_timeout": 10_000, "rebalance_timeout": 10_000}
            answer = await call(broker, module, 4, group_id="", **times)
            assert answer.error_code is ErrorCode.invalid_group_id

    run(scenario())


@pytest.mark.parametrize("error", [Unavailable("full"), Indeterminate("slow")])
def test_join_that_cannot_be_saved_sends_the_member_to_look_for_its_coordinator(
    error: TidingsError,
) -> None:
    async def scenario() -> None:
        log = TopicsAndGroupsLog()
        log.failure = error
        async with serving(log) as broker:
            assert (await join(broker, 0)).error_code is ErrorCode.coordinator_not_available

    run(scenario())


@once
async def test_settings_bound_groups() -> None:
    async with serving(group_size_max=1, group_session_timeout_min_ms=10_001) as broker:
        assert (await join(broker)).error_code is ErrorCode.invalid_session_timeout
    async with serving(group_size_max=1) as broker:
        await become_stable(broker)
        full = await join(broker)
        assert full.error_code is ErrorCode.group_max_size_reached
    async with serving(group_initial_rebalance_delay_ms=3_000) as broker:
        await join(broker, 0)
        assert asyncio.get_running_loop().time() == 3


# Whole groups -----------------------------------------------------------------------------------


@in_every_version(15)
async def test_describe_groups_in_every_version(version: int) -> None:
    async with serving() as broker:
        member_id = await become_stable(broker)
        answer = await call(
            broker,
            "describe_groups",
            version,
            groups=["g", "x"],
            include_authorized_operations=True,
        )
        group, missing = answer.groups
        assert (group.error_code, group.group_state) == (ErrorCode.none, "Stable")
        assert (group.protocol_type, group.protocol_data) == ("consumer", "range")
        (member,) = group.members
        assert (member.member_id, member.client_id) == (member_id, "tests")
        assert member.client_host == "/127.0.0.1"
        assert (member.member_metadata, member.member_assignment) == (SUBSCRIPTION, b"all")
        if version >= 3:
            assert group.authorized_operations == GROUP_OPERATIONS
        if version >= 4:
            assert member.group_instance_id == "i1"
        assert missing.group_state == "Dead"
        not_found = ErrorCode.group_id_not_found if version >= 6 else ErrorCode.none
        assert missing.error_code is not_found


@once
async def test_describe_groups_during_a_rebalance_tells_no_protocol() -> None:
    async with serving() as broker:
        await join(broker, 0)
        answer = await call(broker, "describe_groups", 5, groups=["g"])
        (group,) = answer.groups
        assert (group.group_state, group.protocol_data) == ("CompletingRebalance", "")
        assert [member.member_metadata for member in group.members] == [b""]
        assert group.authorized_operations == -(2**31)


@in_every_version(16)
async def test_list_groups_in_every_version(version: int) -> None:
    async with serving() as broker:
        await become_stable(broker)
        await commit(broker, 9, group_id="empty")
        filters: dict[str, Any] = {"states_filter": ["stable"]} if version >= 4 else {}
        answer = await call(broker, "list_groups", version, **filters)
        assert answer.error_code is ErrorCode.none
        names = [group.group_id for group in answer.groups]
        assert names == (["g"] if version >= 4 else ["empty", "g"])
        assert answer.groups[-1].protocol_type == "consumer"
        if version >= 5:
            assert answer.groups[0].group_type == "classic"


@once
async def test_list_groups_of_a_type_that_there_is_not_is_empty() -> None:
    async with serving() as broker:
        await become_stable(broker)
        for kind, count in (("consumer", 0), ("Classic", 1)):
            answer = await call(broker, "list_groups", 5, types_filter=[kind])
            assert len(answer.groups) == count


@in_every_version(42)
async def test_delete_groups_in_every_version(version: int) -> None:
    async with serving() as broker:
        await become_stable(broker)
        await commit(broker, 9, group_id="empty")
        names = ["g", "empty", "x"]
        answer = await call(broker, "delete_groups", version, groups_names=names)
        assert [(each.group_id, each.error_code) for each in answer.results] == [
            ("g", ErrorCode.non_empty_group),
            ("empty", ErrorCode.none),
            ("x", ErrorCode.group_id_not_found),
        ]
        assert list(broker.log.state.groups) == ["g"]
