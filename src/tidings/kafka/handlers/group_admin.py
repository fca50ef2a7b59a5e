"""DescribeGroups, ListGroups, DeleteGroups: groups as a whole, for whoever administers them."""

from collections.abc import Sequence
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.membership.document import GroupDocument, MemberDocument
from tidings.core.membership.generations import GroupState
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.coordinator import Description
from tidings.kafka.group_errors import code_of_failure, code_of_refusal
from tidings.kafka.schema import Entity

GROUP_TYPE = "classic"
"""The only protocol that is served; KIP-848 has another."""

_OPERATIONS_NOT_ASKED = -(2**31)

# There are no access rules: READ 3, DELETE 6, DESCRIBE 8, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11.
GROUP_OPERATIONS = sum(1 << operation for operation in (3, 6, 8, 10, 11))


async def describe_groups(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Describe groups. Up to v5 one that does not exist is dead, from v6 on it is an error."""
    wants_operations = field(request, "include_authorized_operations", default=False)
    operations = GROUP_OPERATIONS if wants_operations else _OPERATIONS_NOT_ASKED
    described = [await _describe(broker, context, group_id) for group_id in request.groups]
    return {"groups": [{**group, "authorized_operations": operations} for group in described]}


async def _describe(broker: Broker, context: Context, group_id: str) -> dict[str, Any]:
    try:
        description = await broker.groups.describe(group_id)
    except TidingsError as error:
        return _undescribed(group_id, code_of_failure(error), str(error))
    if description is not None:
        return _described(group_id, description)
    if context.api_version >= 6:
        text = f"there is no group {group_id}"
        return _undescribed(group_id, ErrorCode.group_id_not_found, text)
    return _undescribed(group_id, ErrorCode.none, None)


def _described(group_id: str, description: Description) -> dict[str, Any]:
    state, document = description
    is_stable = state is GroupState.STABLE
    return {
        "error_code": ErrorCode.none,
        "error_message": None,
        "group_id": group_id,
        "group_state": state.value,
        "protocol_type": document.protocol_type,
        "protocol_data": (document.protocol or "") if is_stable else "",
        "members": [_member(document, member, is_stable=is_stable) for member in document.members],
    }


def _member(document: GroupDocument, member: MemberDocument, *, is_stable: bool) -> dict[str, Any]:
    known = [each.metadata for each in member.protocols if each.name == document.protocol]
    return {
        "member_id": member.member_id,
        "group_instance_id": member.instance_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "member_metadata": known[0] if known and is_stable else b"",
        "member_assignment": member.assignment,
    }


def _undescribed(group_id: str, code: ErrorCode, text: str | None) -> dict[str, Any]:
    return {
        "error_code": code,
        "error_message": text,
        "group_id": group_id,
        "group_state": GroupState.DEAD.value,
        "protocol_type": "",
        "protocol_data": "",
        "members": [],
    }


async def list_groups(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """List groups. v4: by state; v5: by type. Without a filter all are listed."""
    del context
    states = _filter_of(request, "states_filter")
    types = _filter_of(request, "types_filter")
    try:
        found = await broker.groups.list_groups()
    except TidingsError as error:
        return {"error_code": code_of_failure(error), "groups": []}
    return {
        "error_code": ErrorCode.none,
        "groups": [
            {
                "group_id": group_id,
                "protocol_type": description.document.protocol_type,
                "group_state": description.state.value,
                "group_type": GROUP_TYPE,
            }
            for group_id, description in sorted(found.items())
            if (not states or description.state.value.lower() in states)
            and (not types or GROUP_TYPE in types)
        ],
    }


def _filter_of(request: Entity, name: str) -> list[str]:
    wanted: Sequence[str] = field(request, name, default=())
    return [each.lower() for each in wanted]


async def delete_groups(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Delete groups that have no members, with their committed offsets."""
    del context
    return {
        "results": [
            {"group_id": group_id, "error_code": await _delete(broker, group_id)}
            for group_id in dict.fromkeys(request.groups_names)
        ]
    }


async def _delete(broker: Broker, group_id: str) -> ErrorCode:
    try:
        return code_of_refusal(await broker.groups.delete(group_id))
    except TidingsError as error:
        return code_of_failure(error)
