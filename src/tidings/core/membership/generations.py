"""From generation to generation: who has joined, who leads, when waiting ends.

    EMPTY ──► PREPARING_REBALANCE ──► COMPLETING_REBALANCE ──► STABLE
      ▲          │ nobody came  ▲               │                │
      └──────────┘              └───────────────┴────────────────┘ join, leave, silence

    M2  generations only go up, and one is saved before anybody hears of it;
    M3  a generation has one assignment, which is saved before anybody hears of it;
    M4  a member waits for an answer or has a deadline, so silence ends;
    M5  while anybody waits there is a next deadline, so everybody is answered in the end.

Here is when; who may, and what requests mean, is in `group`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from tidings.core.membership.document import GroupDocument
from tidings.core.membership.members import Member, Members, restored
from tidings.core.membership.messages import (
    Answer,
    Body,
    Effect,
    GroupError,
    JoinAnswer,
    Save,
    SyncAnswer,
    Ticket,
)

PENDING_PATIENCE_MS = 500
"""How long the first generation of a group waits for those who were told their member id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """What members may ask for; the names are close to those of Kafka's settings."""

    session_timeout_min_ms: int = 6_000
    session_timeout_max_ms: int = 1_800_000
    size_max: int = 1_000
    """Members, and again as many who were told an id and have not joined with it."""
    initial_rebalance_delay_ms: int = 0
    """How long the first generation waits for more members to come."""


class GroupState(Enum):
    """Where a group stands; the values are Kafka's names."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class Generations:
    """The generations of one group."""

    def __init__(self, limits: GroupLimits) -> None:
        self.limits = limits
        self.state = GroupState.EMPTY
        # Goes up by one when everybody has joined, or nobody is left.
        self.number = 0
        # What kind of members these are; the first one says.
        self.protocol_type = ""
        # What this generation agreed on.
        self.protocol: str | None = None
        self.members = Members()
        # Those who were told their id and have not joined with it, and until when they may.
        self.pending: dict[str, int] = {}
        # Members of this generation that have not asked for their assignment, and until when they
        # may.
        self._unsynced: dict[str, None] = {}
        self._sync_deadline_ms: int | None = None
        # A join phase ends not before the first and not after the second; until when the first
        # may move.
        self._join_opens_ms = 0
        self._join_deadline_ms: int | None = None
        self._join_opens_max_ms = 0
        # Somebody of this generation has gone.
        self._must_rebalance = False
        # What is to be done, in order.
        self._effects: list[Effect] = []

    def restore(self, document: GroupDocument, now_ms: int) -> None:
        """Go on from what was stored; every member gets a whole session."""
        self.number = document.generation
        self.protocol_type = document.protocol_type
        self.protocol = document.protocol
        for member in map(restored, document.members):
            self.expect(member, now_ms)
            self.members.add(member)
        self.members.leader = document.leader
        if document.is_assigned:
            self.state = GroupState.STABLE
        elif document.members:
            self.state = GroupState.COMPLETING_REBALANCE
            self._await_syncs(self.members.all(), now_ms)

    @property
    def document(self) -> GroupDocument:
        """What is stored of it."""
        return GroupDocument(
            self.number,
            self.protocol_type,
            self.protocol,
            self.members.leader,
            is_assigned=self.state is GroupState.STABLE,
            members=self.members.as_documents(),
        )

    # Time ---------------------------------------------------------------------------------------

    @property
    def next_deadline_ms(self) -> int | None:
        """When `advance` is to be called; None while nothing is awaited."""
        awaited: Iterable[int | None] = chain(
            (self._join_deadline_ms, self._sync_deadline_ms),
            (member.deadline_ms for member in self.members.all()),
            self.pending.values(),
            (self._join_opens_ms,) if self._is_joining and self._has_everybody() else (),
        )
        return min((moment for moment in awaited if moment is not None), default=None)

    def advance(self, now_ms: int) -> None:
        """Do what is due."""
        for member_id in [key for key, until_ms in self.pending.items() if until_ms <= now_ms]:
            del self.pending[member_id]
        late = [member for member in self.members.all() if _is_due(member.deadline_ms, now_ms)]
        for member in late:
            self.remove(member)
        if _is_due(self._sync_deadline_ms, now_ms):
            late = [self.members.by_id[member_id] for member_id in self._unsynced]
            for member in late:
                self.remove(member)
            self._sync_deadline_ms = None
        self.go_on(now_ms)

    def expect(self, member: Member, now_ms: int) -> None:
        """Give a member that was answered a whole session to be heard of again (M4)."""
        member.deadline_ms = now_ms + member.session_timeout_ms

    # Coming and going ---------------------------------------------------------------------------

    @property
    def _is_joining(self) -> bool:
        return self._join_deadline_ms is not None

    def add(self, member: Member, now_ms: int) -> None:
        """Take somebody in who waits for a generation, and let everybody join."""
        self.pending.pop(member.member_id, None)
        self.members.add(member)
        if self._is_joining and now_ms < self._join_opens_ms:
            self._open_first_join(now_ms)
        self.rebalance(now_ms)

    def remove(self, member: Member) -> None:
        """Let somebody go; `go_on` is to follow."""
        self.answer_waiting(member, GroupError.UNKNOWN_MEMBER_ID)
        self._unsynced.pop(member.member_id, None)
        self.members.remove(member)
        if self.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
            self._must_rebalance = True

    def rename(self, member: Member, member_id: str) -> None:
        """Fence who had a static member's old id, and go on with the new one."""
        self.answer_waiting(member, GroupError.FENCED_INSTANCE_ID)
        self._unsynced.pop(member.member_id, None)
        self.members.rename(member, member_id)

    def await_generation(self, member: Member, ticket: Ticket) -> None:
        """Let a member wait; only its newest request does."""
        if member.join_ticket is not None:
            self._answer_join(member, _refused_join(member, GroupError.REBALANCE_IN_PROGRESS))
        member.join_ticket = ticket
        member.deadline_ms = None

    # Joining ------------------------------------------------------------------------------------

    def rebalance(self, now_ms: int) -> None:
        """Let everybody join again, unless that is under way; see whether all have."""
        if self._join_deadline_ms is None:
            self._begin_join(now_ms)
        else:
            # Whoever joins where nobody was waited for may not have to wait for long sessions.
            latest_ms = now_ms + self.members.rebalance_timeout_ms
            self._join_deadline_ms = min(self._join_deadline_ms, latest_ms)
        self._end_join(now_ms)

    def go_on(self, now_ms: int) -> None:
        """See what those who went, or time that passed, change for the others."""
        if self._must_rebalance:
            self.rebalance(now_ms)
        elif self._is_joining:
            self._end_join(now_ms)

    def _begin_join(self, now_ms: int) -> None:
        self._must_rebalance = False
        for member in self.members.all():
            if member.sync_ticket is not None:
                self._answer_sync(member, GroupError.REBALANCE_IN_PROGRESS)
                self.expect(member, now_ms)
        self._unsynced.clear()
        self._sync_deadline_ms = None
        self._join_opens_ms = now_ms
        self._join_deadline_ms = now_ms + self.members.rebalance_timeout_ms
        if self.state is GroupState.EMPTY:
            self._join_opens_max_ms = self._join_deadline_ms
            self._open_first_join(now_ms)
        self.state = GroupState.PREPARING_REBALANCE

    def _open_first_join(self, now_ms: int) -> None:
        """The first generation waits a while for more to come, longer when somebody came."""
        opens_ms = now_ms + self.limits.initial_rebalance_delay_ms
        self._join_opens_ms = min(opens_ms, self._join_opens_max_ms)
        self._join_deadline_ms = self._join_opens_ms + PENDING_PATIENCE_MS

    def _has_everybody(self) -> bool:
        return not self.pending and all(
            member.join_ticket is not None for member in self.members.all()
        )

    def _end_join(self, now_ms: int) -> None:
        """Begin the next generation if all have joined, or time is up."""
        is_ready = now_ms >= self._join_opens_ms and self._has_everybody()
        if not is_ready and not _is_due(self._join_deadline_ms, now_ms):
            return
        for member in self.members.all():
            if member.join_ticket is None and member.instance_id is None:
                self.remove(member)
        if self.members and not self.members.elect_waiting():
            # Only static members, which are away, until their sessions end.
            deadlines = [member.deadline_ms for member in self.members.all()]
            self._join_deadline_ms = min(moment for moment in deadlines if moment is not None)
            return
        self._join_deadline_ms = None
        self._begin_generation(now_ms)

    def _begin_generation(self, now_ms: int) -> None:
        self.number += 1
        self.state = GroupState.COMPLETING_REBALANCE if self.members else GroupState.EMPTY
        self.protocol = self.members.select_protocol() if self.members else None
        for member in self.members.all():
            member.assignment = b""
        self.save()
        joined = [member for member in self.members.all() if member.join_ticket is not None]
        for member in joined:
            self._answer_join(member, self.place_of(member))
            self.expect(member, now_ms)
        self._await_syncs(joined, now_ms)

    def place_of(self, member: Member) -> JoinAnswer:
        """Return a member's place in this generation."""
        leads = self.members.leader == member.member_id
        return JoinAnswer(
            member_id=member.member_id,
            generation=self.number,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.members.leader or "",
            members=self.members.as_joined(self.protocol) if leads else (),
        )

    # Assignments --------------------------------------------------------------------------------

    def _await_syncs(self, members: list[Member], now_ms: int) -> None:
        self._unsynced = dict.fromkeys(member.member_id for member in members)
        if members:
            self._sync_deadline_ms = now_ms + self.members.rebalance_timeout_ms

    def await_assignment(self, member: Member, ticket: Ticket) -> None:
        """Let a member wait; only its newest request does."""
        if member.sync_ticket is not None:
            self._answer_sync(member, GroupError.REBALANCE_IN_PROGRESS)
        member.sync_ticket = ticket
        member.deadline_ms = None
        self._unsynced.pop(member.member_id, None)

    def assign(self, assignments: dict[str, bytes]) -> None:
        """Take the leader's word for this generation."""
        assert self.state is GroupState.COMPLETING_REBALANCE, "M3: assigned twice"
        for member in self.members.all():
            member.assignment = assignments.get(member.member_id, b"")
        self.state = GroupState.STABLE
        self.save()

    def give_assignments(self, now_ms: int) -> None:
        """Answer everybody who waits for an assignment."""
        for member in self.members.all():
            if member.sync_ticket is not None:
                self._answer_sync(member)
                self.expect(member, now_ms)

    # Effects ------------------------------------------------------------------------------------

    def save(self) -> None:
        """Let what is now be durable before whatever is answered from here on."""
        self._effects.append(Save(self.document))

    def answer(self, ticket: Ticket, body: Body) -> None:
        """Answer a request."""
        self._effects.append(Answer(ticket, body))

    def answer_waiting(self, member: Member, error: GroupError) -> None:
        """Send away whatever requests of a member wait."""
        if member.join_ticket is not None:
            self._answer_join(member, _refused_join(member, error))
        if member.sync_ticket is not None:
            self._answer_sync(member, error)

    def _answer_join(self, member: Member, body: JoinAnswer) -> None:
        assert member.join_ticket is not None, f"M1: {member.member_id} does not wait"
        self.answer(member.join_ticket, body)
        member.join_ticket = None

    def _answer_sync(self, member: Member, error: GroupError = GroupError.NONE) -> None:
        assert member.sync_ticket is not None, f"M1: {member.member_id} does not wait"
        body = SyncAnswer(error=error)
        if error is GroupError.NONE:
            body = SyncAnswer(
                protocol_type=self.protocol_type,
                protocol=self.protocol,
                assignment=member.assignment,
            )
        self.answer(member.sync_ticket, body)
        member.sync_ticket = None

    def taken_effects(self) -> list[Effect]:
        """Hand over what is to be done."""
        effects, self._effects = self._effects, []
        return effects

    def close(self) -> None:
        """Send everybody away, for good."""
        self.state = GroupState.DEAD
        self.pending.clear()
        self._unsynced.clear()
        self._join_deadline_ms = self._sync_deadline_ms = None
        for member in self.members.all():
            self.answer_waiting(member, GroupError.COORDINATOR_NOT_AVAILABLE)
            self.members.remove(member)


def _refused_join(member: Member, error: GroupError) -> JoinAnswer:
    return JoinAnswer(error=error, member_id=member.member_id)


def _is_due(deadline_ms: int | None, now_ms: int) -> bool:
    return deadline_ms is not None and deadline_ms <= now_ms
