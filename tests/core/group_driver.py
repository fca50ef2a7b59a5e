"""Drives one group through its events, does its effects in order, and keeps what was answered."""

import struct

from tidings.core.membership.document import GroupDocument, Protocol, decode_group, encode_group
from tidings.core.membership.generations import GroupLimits
from tidings.core.membership.group import Group
from tidings.core.membership.messages import (
    Answer,
    Body,
    Claim,
    Effect,
    GroupError,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    Save,
    SyncAnswer,
    SyncRequest,
    Ticket,
)

SESSION_MS = 10_000
REBALANCE_MS = 60_000
STEPS_MAX = 100
"""More deadlines than any wait in a test has."""


def subscription(*topics: str, owned: bytes = b"") -> bytes:
    """Return consumer metadata of version 1, with whatever comes after the topics."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 1, len(topics)) + names + owned


def protocols(*names: str, metadata: bytes = b"") -> tuple[Protocol, ...]:
    return tuple(Protocol(name, metadata or subscription("t")) for name in names)


def join_request(
    member_id: str = "",
    *,
    new: str = "",
    instance: str | None = None,
    knows: tuple[Protocol, ...] = protocols("range"),
    kind: str = "consumer",
    session_ms: int = SESSION_MS,
    rebalance_ms: int = REBALANCE_MS,
    must_know_id: bool = False,
    can_skip_assignment: bool = True,
) -> JoinRequest:
    return JoinRequest(
        member_id=member_id,
        new_member_id=new,
        instance_id=instance,
        client_id="client",
        client_host="/127.0.0.1",
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=rebalance_ms,
        protocol_type=kind,
        protocols=knows,
        must_know_id=must_know_id,
        can_skip_assignment=can_skip_assignment,
    )


class Driver:
    """A group, its clock, what is durable of it, and every answer that it gave."""

    def __init__(self, limits: GroupLimits | None = None) -> None:
        self.limits = limits or GroupLimits()
        self.group = Group(self.limits)
        self.now_ms = 0
        self.saved: list[GroupDocument] = []
        self.answers: dict[Ticket, Body] = {}
        # What was asked and may still be answered.
        self.asked: dict[Ticket, str] = {}
        self._ticket = 0

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Answer(ticket, body):
                    assert ticket in self.asked, f"M1: {ticket} is answered twice or never asked"
                    del self.asked[ticket]
                    self.answers[ticket] = body
                    self.answered(body)
                case Save(document):
                    self.saved.append(decode_group(encode_group(document)))
        self.check_waiting()

    def check_waiting(self) -> None:
        """Who does not wait has a deadline, and nobody is forgotten who does."""
        waiting = 0
        for member in self.group.members.all():
            is_waiting = member.join_ticket is not None or member.sync_ticket is not None
            assert is_waiting or member.deadline_ms is not None, f"M4: {member}"
            waiting += is_waiting
        assert not waiting or self.group.next_deadline_ms is not None, "M5: no deadline"

    def answered(self, body: Body) -> None:
        """Look at an answer when it is given."""

    def ticket(self, who: str) -> Ticket:
        self._ticket += 1
        ticket = Ticket(self._ticket)
        self.asked[ticket] = who
        return ticket

    # Events -------------------------------------------------------------------------------------

    def join(self, request: JoinRequest) -> Ticket:
        ticket = self.ticket(request.member_id or request.new_member_id)
        self.do(self.group.join(ticket, request, self.now_ms))
        return ticket

    def sync(self, request: SyncRequest) -> Ticket:
        ticket = self.ticket(request.claim.member_id)
        self.do(self.group.sync(ticket, request, self.now_ms))
        return ticket

    def leave(self, *claims: Claim) -> list[GroupError]:
        ticket = self.ticket("")
        self.do(self.group.leave(ticket, list(claims), self.now_ms))
        answer = self.answers[ticket]
        assert isinstance(answer, LeaveAnswer)
        assert [claim for claim, _ in answer.members] == list(claims)
        return [error for _, error in answer.members]

    def heartbeat(self, member_id: str, generation: int, instance: str | None = None) -> GroupError:
        return self.group.heartbeat(Claim(member_id, instance), generation, self.now_ms)

    def commit(self, member_id: str, generation: int, instance: str | None = None) -> GroupError:
        return self.group.check_commit(Claim(member_id, instance), generation, self.now_ms)

    def wait(self, duration_ms: int) -> None:
        """Let time pass, as a driver that sleeps until the next deadline."""
        end_ms = self.now_ms + duration_ms
        for _ in range(STEPS_MAX):
            deadline_ms = self.group.next_deadline_ms
            if deadline_ms is None or deadline_ms > end_ms:
                break
            self.now_ms = max(self.now_ms, deadline_ms)
            self.do(self.group.advance(self.now_ms))
        else:
            raise AssertionError("M5: what is due stays due")
        self.now_ms = end_ms

    def restart(self) -> None:
        """Go on with a new group that knows what is durable; nobody who waited is answered."""
        self.asked.clear()
        self.group = Group(self.limits, self.saved[-1] if self.saved else None, self.now_ms)

    # Questions ----------------------------------------------------------------------------------

    def joined(self, ticket: Ticket) -> JoinAnswer:
        answer = self.answers[ticket]
        assert isinstance(answer, JoinAnswer)
        return answer

    def synced(self, ticket: Ticket) -> SyncAnswer:
        answer = self.answers[ticket]
        assert isinstance(answer, SyncAnswer)
        return answer

    def error(self, ticket: Ticket) -> GroupError:
        return self.answers[ticket].error

    # Whole steps --------------------------------------------------------------------------------

    def assign(self, leader: str, generation: int, **assignments: bytes) -> Ticket:
        """Let the leader bring assignments."""
        claim = Claim(leader, self.group.members.by_id[leader].instance_id)
        return self.sync(
            SyncRequest(claim=claim, generation=generation, assignments=tuple(assignments.items()))
        )

    def fetch_assignment(
        self, member_id: str, generation: int, instance: str | None = None
    ) -> Ticket:
        """Ask for an assignment as a follower does."""
        return self.sync(SyncRequest(claim=Claim(member_id, instance), generation=generation))

    def form(self, *names: str, instances: tuple[str, ...] = ()) -> int:
        """Bring a group of these members to a stable generation; the first leads; return it."""
        static = dict(zip(names, instances, strict=False))
        self.join(join_request(new=names[0], instance=static.get(names[0])))
        for name in names[1:]:
            self.join(join_request(new=name, instance=static.get(name)))
        if len(names) > 1:
            self.join(join_request(names[0], instance=static.get(names[0])))
        generation = self.group.document.generation
        for name in names[1:]:
            self.fetch_assignment(name, generation, static.get(name))
        self.assign(names[0], generation, **{name: name.encode() for name in names})
        assert not self.asked, f"nobody waits in a stable group: {self.asked}"
        return generation
