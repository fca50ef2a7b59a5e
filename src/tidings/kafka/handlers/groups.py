"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup: the life of a member.

What is decided, and why, is in `tidings.core.membership`; here are fields and versions.
"""

from datetime import timedelta
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.membership.document import Protocol
from tidings.core.membership.messages import (
    Claim,
    GroupError,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    SyncAnswer,
    SyncRequest,
)
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.group_errors import code_of_failure, code_of_refusal
from tidings.kafka.schema import Entity

_MILLISECOND = timedelta(milliseconds=1)


async def join_group(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Wait for a place in the next generation.

    v1: the time to rejoin is the client's own. v4: somebody new is told its member id first
    (KIP-394). v5: static members (KIP-345). v7: the protocol type is told, names may be null
    (KIP-559). v9: a leader may be told not to assign (KIP-814).
    """
    if not request.group_id:
        return _joined(context, ErrorCode.invalid_group_id, JoinAnswer())
    session_timeout_ms = request.session_timeout // _MILLISECOND
    rebalance_timeout = field(request, "rebalance_timeout", request.session_timeout)
    client_id = context.client_id or ""
    claim = claim_of(request)
    join = JoinRequest(
        member_id=claim.member_id,
        new_member_id=broker.groups.new_member_id(claim.instance_id or client_id),
        instance_id=claim.instance_id,
        client_id=client_id,
        client_host=f"/{context.client_host}",
        session_timeout_ms=session_timeout_ms,
        rebalance_timeout_ms=max(0, rebalance_timeout // _MILLISECOND),
        protocol_type=request.protocol_type,
        protocols=tuple(Protocol(each.name, each.metadata) for each in request.protocols),
        must_know_id=context.api_version >= 4,
        can_skip_assignment=context.api_version >= 9,
    )
    try:
        answer = await broker.groups.join(request.group_id, join)
    except TidingsError as error:
        return _joined(context, code_of_failure(error), JoinAnswer(member_id=request.member_id))
    return _joined(context, code_of_refusal(answer.error), answer)


def _joined(context: Context, code: ErrorCode, answer: JoinAnswer) -> dict[str, Any]:
    no_name = None if context.api_version >= 7 else ""
    return {
        "error_code": code,
        "generation_id": answer.generation,
        "protocol_type": answer.protocol_type,
        "protocol_name": no_name if answer.protocol is None else answer.protocol,
        "leader": answer.leader,
        "skip_assignment": answer.skip_assignment,
        "member_id": answer.member_id,
        "members": [
            {
                "member_id": member.member_id,
                "group_instance_id": member.instance_id,
                "metadata": member.metadata,
            }
            for member in answer.members
        ],
    }


async def sync_group(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Wait for the assignment. v3: static members. v5: the protocol is named, to be compared."""
    if not request.group_id:
        return _synced(ErrorCode.invalid_group_id, SyncAnswer())
    protocol_type: str | None = getattr(request, "protocol_type", None)
    protocol: str | None = getattr(request, "protocol_name", None)
    if context.api_version >= 5 and (protocol_type is None or protocol is None):
        return _synced(ErrorCode.inconsistent_group_protocol, SyncAnswer())
    sync = SyncRequest(
        claim=claim_of(request),
        generation=request.generation_id,
        protocol_type=protocol_type,
        protocol=protocol,
        assignments=tuple((each.member_id, each.assignment) for each in request.assignments),
    )
    try:
        answer = await broker.groups.sync(request.group_id, sync)
    except TidingsError as error:
        return _synced(code_of_failure(error), SyncAnswer())
    return _synced(code_of_refusal(answer.error), answer)


def _synced(code: ErrorCode, answer: SyncAnswer) -> dict[str, Any]:
    return {
        "error_code": code,
        "protocol_type": answer.protocol_type,
        "protocol_name": answer.protocol,
        "assignment": answer.assignment,
    }


async def heartbeat(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Hear of a member. v3: static members."""
    del context
    if not request.group_id:
        return {"error_code": ErrorCode.invalid_group_id}
    try:
        refusal = await broker.groups.heartbeat(
            request.group_id, claim_of(request), request.generation_id
        )
    except TidingsError as error:
        return {"error_code": code_of_failure(error)}
    return {"error_code": code_of_refusal(refusal)}


async def leave_group(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Let members go. Up to v2 it is one, whose error is the answer's; from v3 on several."""
    if not request.group_id:
        return {"error_code": ErrorCode.invalid_group_id}
    is_single = context.api_version < 3
    claims = [claim_of(request)] if is_single else [claim_of(each) for each in request.members]
    try:
        answer: LeaveAnswer = await broker.groups.leave(request.group_id, claims)
    except TidingsError as error:
        return {"error_code": code_of_failure(error)}
    refusal = answer.error
    if is_single and refusal is GroupError.NONE:
        ((_, refusal),) = answer.members
    return {
        "error_code": code_of_refusal(refusal),
        "members": [
            {
                "member_id": claim.member_id,
                "group_instance_id": claim.instance_id,
                "error_code": code_of_refusal(outcome),
            }
            for claim, outcome in answer.members
        ],
    }


def claim_of(request: Entity) -> Claim:
    """Return who a request says that it comes from."""
    return Claim(request.member_id, field(request, "group_instance_id", None))
