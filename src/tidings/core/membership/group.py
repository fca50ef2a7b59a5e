"""One consumer group: a state machine of Kafka's classic group protocol. No I/O, no clock.

Whoever drives it calls `join`, `sync`, `leave`, and `advance` when `next_deadline_ms` has come.
They return effects, to be carried out in order: an answer is given only when everything that was to
be saved before it is durable. If a save fails, the group is thrown away and made anew from what is
stored, as after a crash. `heartbeat` and `check_commit` are answered at once.

Time is a number of milliseconds that never goes back; where it starts does not matter.

    M1  a request is answered once.

Here is what requests mean, and who may; when things happen is in `generations`.
"""

import dataclasses

from tidings.core.membership.document import GroupDocument, Protocol
from tidings.core.membership.generations import Generations, GroupLimits, GroupState
from tidings.core.membership.members import Member, Members
from tidings.core.membership.messages import (
    Claim,
    Effect,
    GroupError,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    SyncAnswer,
    SyncRequest,
    Ticket,
)
from tidings.core.membership.subscription import PROTOCOL_TYPE, read_topics

NEW_MEMBER_JOIN_MS = 5 * 60 * 1000
"""How long a join of somebody new may wait: it may have gone away, and nobody would notice."""


class Group:
    """A group through its generations."""

    def __init__(
        self, limits: GroupLimits, document: GroupDocument | None = None, now_ms: int = 0
    ) -> None:
        """Start as an empty group, or go on with one as it was stored."""
        self._generations = Generations(limits)
        if document is not None:
            self._generations.restore(document, now_ms)

    # Events -------------------------------------------------------------------------------------

    def join(self, ticket: Ticket, request: JoinRequest, now_ms: int) -> list[Effect]:
        """Somebody wants to be in the next generation."""
        refusal = self._refuse_join(request)
        if refusal is not GroupError.NONE:
            self._refuse(ticket, request, refusal)
        elif request.member_id == "":
            self._join_new(ticket, request, now_ms)
        elif request.member_id in self._generations.pending:
            self._admit(ticket, request, request.member_id, now_ms)
        else:
            self._join_again(ticket, request, now_ms)
        if refusal is GroupError.GROUP_MAX_SIZE_REACHED:
            self._drop(request.member_id, now_ms)
        return self._generations.taken_effects()

    def sync(self, ticket: Ticket, request: SyncRequest, now_ms: int) -> list[Effect]:
        """A member asks for its assignment; the leader brings everybody's."""
        found = self._find(request.claim, request.generation)
        if isinstance(found, GroupError):
            self._generations.answer(ticket, SyncAnswer(error=found))
        elif not self._is_our_protocol(request):
            refused = SyncAnswer(error=GroupError.INCONSISTENT_GROUP_PROTOCOL)
            self._generations.answer(ticket, refused)
        elif self.state is GroupState.PREPARING_REBALANCE:
            refused = SyncAnswer(error=GroupError.REBALANCE_IN_PROGRESS)
            self._generations.answer(ticket, refused)
        else:
            self._sync_member(ticket, request, found, now_ms)
        return self._generations.taken_effects()

    def leave(self, ticket: Ticket, claims: list[Claim], now_ms: int) -> list[Effect]:
        """Members go; of static ones the instance id is enough."""
        if self.state is GroupState.DEAD:
            refused = LeaveAnswer(error=GroupError.COORDINATOR_NOT_AVAILABLE)
            self._generations.answer(ticket, refused)
        else:
            outcomes = tuple((claim, self._leave_one(claim)) for claim in claims)
            self._generations.go_on(now_ms)
            self._generations.answer(ticket, LeaveAnswer(members=outcomes))
        return self._generations.taken_effects()

    def heartbeat(self, claim: Claim, generation: int, now_ms: int) -> GroupError:
        """A member is alive; it learns here that it must join again."""
        found = self._find(claim, generation)
        if isinstance(found, GroupError):
            return found
        self._hear_of(found, now_ms)
        if self.state is GroupState.PREPARING_REBALANCE:
            return GroupError.REBALANCE_IN_PROGRESS
        return GroupError.NONE

    def check_commit(self, claim: Claim, generation: int, now_ms: int) -> GroupError:
        """Say whether somebody may commit offsets now.

        A generation of -1 is that of somebody who is no member, who may while there are none.
        """
        if generation < 0 and self.state is GroupState.EMPTY:
            return GroupError.NONE
        found = self._find(claim, generation)
        if isinstance(found, GroupError):
            return found
        self._hear_of(found, now_ms)
        if self.state is GroupState.COMPLETING_REBALANCE:
            return GroupError.REBALANCE_IN_PROGRESS
        return GroupError.NONE

    def advance(self, now_ms: int) -> list[Effect]:
        """Do what is due."""
        self._generations.advance(now_ms)
        return self._generations.taken_effects()

    def close(self) -> list[Effect]:
        """End it: whoever waits is sent away, and so is whoever comes."""
        self._generations.close()
        return self._generations.taken_effects()

    # What others want to know -------------------------------------------------------------------

    @property
    def next_deadline_ms(self) -> int | None:
        """When `advance` is to be called; None while nothing is awaited."""
        return self._generations.next_deadline_ms

    @property
    def state(self) -> GroupState:
        """Where the group stands."""
        return self._generations.state

    @property
    def members(self) -> Members:
        """Who is in it; to be read only."""
        return self._generations.members

    @property
    def document(self) -> GroupDocument:
        """The group as it would be stored now."""
        return self._generations.document

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if it were forgotten and restored from what is stored."""
        is_over = self.state in (GroupState.EMPTY, GroupState.DEAD)
        return is_over and not self._generations.pending

    @property
    def has_consumers(self) -> bool:
        """Whether its members read topics, as far as can be told."""
        return bool(self.members) and self._generations.protocol_type == PROTOCOL_TYPE

    def is_subscribed(self, topic: str) -> bool:
        """Whether members read this topic; True where it cannot be known."""
        if not self.has_consumers:
            return False
        protocol = self._generations.protocol
        read = [read_topics(member.metadata(protocol)) for member in self.members.all()]
        return any(topics is None or topic in topics for topics in read)

    # Joining ------------------------------------------------------------------------------------

    def _refuse_join(self, request: JoinRequest) -> GroupError:
        limits = self._generations.limits
        timeout_ms = request.session_timeout_ms
        if self.state is GroupState.DEAD:
            return GroupError.COORDINATOR_NOT_AVAILABLE
        if not limits.session_timeout_min_ms <= timeout_ms <= limits.session_timeout_max_ms:
            return GroupError.INVALID_SESSION_TIMEOUT
        if not self._has_room(request):
            return GroupError.GROUP_MAX_SIZE_REACHED
        if not self._shares_protocol(request):
            return GroupError.INCONSISTENT_GROUP_PROTOCOL
        return GroupError.NONE

    def _has_room(self, request: JoinRequest) -> bool:
        """While a generation gathers, those who have come to it count; else all members."""
        if request.instance_id is not None and self.members.static_member(request.instance_id):
            return True
        counted = self.members.all()
        if self.state is GroupState.PREPARING_REBALANCE:
            counted = [member for member in counted if member.join_ticket is not None]
        is_in = any(member.member_id == request.member_id for member in counted)
        return is_in or len(counted) < self._generations.limits.size_max

    def _shares_protocol(self, request: JoinRequest) -> bool:
        if not self.members:
            return bool(request.protocol_type and request.protocols)
        candidates = self.members.candidates()
        return request.protocol_type == self._generations.protocol_type and any(
            protocol.name in candidates for protocol in request.protocols
        )

    def _join_new(self, ticket: Ticket, request: JoinRequest, now_ms: int) -> None:
        if request.instance_id is not None:
            static = self.members.static_member(request.instance_id)
            if static is not None:
                self._replace(ticket, request, static, now_ms)
            else:
                self._admit(ticket, request, request.new_member_id, now_ms)
        elif request.must_know_id:
            self._tell_id(ticket, request, now_ms)
        else:
            self._admit(ticket, request, request.new_member_id, now_ms)

    def _tell_id(self, ticket: Ticket, request: JoinRequest, now_ms: int) -> None:
        """Let somebody new come back with its id, lest lost answers leave members behind."""
        pending = self._generations.pending
        if len(pending) >= self._generations.limits.size_max:
            del pending[next(iter(pending))]
        pending[request.new_member_id] = now_ms + request.session_timeout_ms
        told = JoinAnswer(error=GroupError.MEMBER_ID_REQUIRED, member_id=request.new_member_id)
        self._generations.answer(ticket, told)

    def _admit(self, ticket: Ticket, request: JoinRequest, member_id: str, now_ms: int) -> None:
        if not self.members:
            self._generations.protocol_type = request.protocol_type
        member = Member(
            member_id=member_id,
            instance_id=request.instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            session_timeout_ms=request.session_timeout_ms,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            protocols=request.protocols,
            join_ticket=ticket,
            deadline_ms=now_ms + NEW_MEMBER_JOIN_MS,
        )
        self._generations.add(member, now_ms)

    def _join_again(self, ticket: Ticket, request: JoinRequest, now_ms: int) -> None:
        found = self.members.find(request.claim)
        if isinstance(found, GroupError):
            self._refuse(ticket, request, found)
        elif self._has_place(found, request):
            self._hear_of(found, now_ms)
            self._generations.answer(ticket, self._generations.place_of(found))
        else:
            found.update(request)
            self._generations.await_generation(found, ticket)
            self._generations.rebalance(now_ms)

    def _has_place(self, member: Member, request: JoinRequest) -> bool:
        """Whether a join only repeats the one that the member's present place answered."""
        if member.protocols != request.protocols:
            return False
        if self.state is GroupState.STABLE:
            # A leader that joins again wants to assign again.
            return member.member_id != self.members.leader
        return self.state is GroupState.COMPLETING_REBALANCE

    def _replace(self, ticket: Ticket, request: JoinRequest, member: Member, now_ms: int) -> None:
        """A static member is back under a new id: who had the old one is fenced (KIP-345)."""
        leader = self.members.leader or ""
        generations = self._generations
        wants_the_same = _subscriptions(member.protocols) == _subscriptions(request.protocols)
        generations.rename(member, request.new_member_id)
        member.update(request)
        if self.state is not GroupState.STABLE or not wants_the_same:
            generations.await_generation(member, ticket)
            generations.rebalance(now_ms)
            return
        generations.expect(member, now_ms)
        generations.save()
        place = generations.place_of(member)
        leads = place.leader == member.member_id
        if request.can_skip_assignment:
            place = dataclasses.replace(place, skip_assignment=leads)
        else:
            # Told that its old self leads, it does not assign again.
            place = dataclasses.replace(place, leader=leader, members=())
        generations.answer(ticket, place)

    # The rest -----------------------------------------------------------------------------------

    def _is_our_protocol(self, request: SyncRequest) -> bool:
        kind, name = self._generations.protocol_type, self._generations.protocol
        return request.protocol_type in (None, kind) and request.protocol in (None, name)

    def _sync_member(
        self, ticket: Ticket, request: SyncRequest, member: Member, now_ms: int
    ) -> None:
        generations = self._generations
        generations.await_assignment(member, ticket)
        is_awaited = self.state is GroupState.COMPLETING_REBALANCE
        if is_awaited and member.member_id == self.members.leader:
            generations.assign(dict(request.assignments))
        if self.state is GroupState.STABLE:
            generations.give_assignments(now_ms)

    def _leave_one(self, claim: Claim) -> GroupError:
        if self._generations.pending.pop(claim.member_id, None) is not None:
            return GroupError.NONE
        if claim.member_id == "" and claim.instance_id is not None:
            static = self.members.static_member(claim.instance_id)
            found: Member | GroupError = static or GroupError.UNKNOWN_MEMBER_ID
        else:
            found = self.members.find(claim)
        if isinstance(found, GroupError):
            return found
        self._generations.remove(found)
        return GroupError.NONE

    def _drop(self, member_id: str, now_ms: int) -> None:
        """Somebody who found the group full is no member of it any more."""
        member = self.members.by_id.get(member_id)
        if member is not None:
            self._generations.remove(member)
            self._generations.go_on(now_ms)

    def _find(self, claim: Claim, generation: int) -> Member | GroupError:
        if self.state is GroupState.DEAD:
            return GroupError.COORDINATOR_NOT_AVAILABLE
        found = self.members.find(claim)
        if isinstance(found, Member) and generation != self._generations.number:
            return GroupError.ILLEGAL_GENERATION
        return found

    def _hear_of(self, member: Member, now_ms: int) -> None:
        """Somebody is alive; while it waits for an answer it need not say so."""
        if member.join_ticket is None and member.sync_ticket is None:
            self._generations.expect(member, now_ms)

    def _refuse(self, ticket: Ticket, request: JoinRequest, error: GroupError) -> None:
        self._generations.answer(ticket, JoinAnswer(error=error, member_id=request.member_id))


def _subscriptions(protocols: tuple[Protocol, ...]) -> list[tuple[str, list[str] | bytes]]:
    """Return what a member wants of each protocol, whatever it owned when it said so."""
    wanted: list[tuple[str, list[str] | bytes]] = []
    for protocol in protocols:
        topics = read_topics(protocol.metadata)
        wanted.append((protocol.name, protocol.metadata if topics is None else sorted(topics)))
    return wanted
