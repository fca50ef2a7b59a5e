"""What goes into a group and what comes out: requests, answers, effects.

Fields are those of Kafka's JoinGroup, SyncGroup and LeaveGroup. An answer's defaults are those
that go with an error.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, NewType

from tidings.core.membership.document import GroupDocument, Protocol

Ticket = NewType("Ticket", int)
"""Names a request that waits for its answer; chosen by whoever asks, used once."""


class GroupError(Enum):
    """Why a request is refused, named as in Kafka."""

    NONE = auto()
    COORDINATOR_NOT_AVAILABLE = auto()
    FENCED_INSTANCE_ID = auto()
    GROUP_ID_NOT_FOUND = auto()
    GROUP_MAX_SIZE_REACHED = auto()
    GROUP_SUBSCRIBED_TO_TOPIC = auto()
    ILLEGAL_GENERATION = auto()
    INCONSISTENT_GROUP_PROTOCOL = auto()
    INVALID_SESSION_TIMEOUT = auto()
    MEMBER_ID_REQUIRED = auto()
    NON_EMPTY_GROUP = auto()
    NOT_COORDINATOR = auto()
    REBALANCE_IN_PROGRESS = auto()
    UNKNOWN_MEMBER_ID = auto()


class Claim(NamedTuple):
    """Who says that it is a member: for each request that a member makes."""

    member_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """Somebody wants to be in the next generation."""

    member_id: str = ""
    """Empty for somebody new."""
    new_member_id: str
    """What somebody new is called from now on; unique for ever."""
    instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[Protocol, ...]
    """By preference."""
    must_know_id: bool = True
    """Somebody new must first learn its member id and join with that (KIP-394)."""
    can_skip_assignment: bool = True
    """A leader understands that nothing needs to be assigned (KIP-814)."""

    @property
    def claim(self) -> Claim:
        """Who joins."""
        return Claim(self.member_id, self.instance_id)


class JoinedMember(NamedTuple):
    """A member as its leader sees it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """A place in a generation; the leader gets the members too."""

    error: GroupError = GroupError.NONE
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """A member wants its assignment; the leader brings everybody's."""

    claim: Claim
    generation: int
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """What the leader assigned to this member."""

    error: GroupError = GroupError.NONE
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveAnswer:
    """What became of each who wanted to leave, in the order of the request."""

    error: GroupError = GroupError.NONE
    members: tuple[tuple[Claim, GroupError], ...] = ()


Body = JoinAnswer | SyncAnswer | LeaveAnswer


class Answer(NamedTuple):
    """Answer this request, once everything that was to be saved before is durable."""

    ticket: Ticket
    body: Body


class Save(NamedTuple):
    """Make this durable BEFORE any answer that comes after it is given."""

    document: GroupDocument


Effect = Answer | Save
