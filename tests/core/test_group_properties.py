"""Random clients on one group: what must hold whatever they do, and when the broker restarts."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidings.core.membership.document import Protocol
from tidings.core.membership.generations import GroupLimits, GroupState
from tidings.core.membership.group import NEW_MEMBER_JOIN_MS
from tidings.core.membership.messages import (
    Body,
    Claim,
    GroupError,
    JoinAnswer,
    JoinRequest,
    SyncAnswer,
    SyncRequest,
    Ticket,
)

from .group_driver import Driver, protocols, subscription

SESSION_MAX_MS = 60_000
REBALANCE_MAX_MS = 120_000
PATIENCE_MS = 2 * NEW_MEMBER_JOIN_MS
"""Nobody waits longer, if nobody does anything."""

KNOWN = [
    protocols("range", "sticky"),
    protocols("sticky"),
    protocols("range", metadata=subscription("t", "u")),
    protocols("sticky", "range", metadata=b"?"),
    protocols("odd"),
]


class Watched(Driver):
    """Checks each answer against all that came before, through every restart."""

    def __init__(self, limits: GroupLimits) -> None:
        super().__init__(limits)
        self.heard_generation = 0
        self.assigned: dict[tuple[int, str], bytes] = {}
        # Who was given the members of a generation, and with them the right to assign.
        self.leaders: dict[int, str] = {}

    def answered(self, body: Body) -> None:
        match body:
            case JoinAnswer(error=GroupError.NONE):
                self.check_place(body)
            case SyncAnswer(error=GroupError.NONE):
                assert self.saved[-1].is_assigned, "M3: heard of before it was saved"
            case _:
                pass

    def check_place(self, place: JoinAnswer) -> None:
        assert place.generation >= self.heard_generation, "M2: a generation went back"
        assert self.saved[-1].generation == place.generation, "M2: heard of before it was saved"
        self.heard_generation = place.generation
        if place.members and not place.skip_assignment:
            leader = self.leaders.setdefault(place.generation, place.member_id)
            assert leader == place.member_id, "M3: two lead one generation"

    def check_assignment(self, ticket: Ticket, request: SyncRequest) -> None:
        """Look at an assignment once it is there: of a static member by its instance id."""
        body = self.answers.get(ticket)
        if isinstance(body, SyncAnswer) and body.error is GroupError.NONE:
            key = request.generation, request.claim.instance_id or request.claim.member_id
            assert self.assigned.setdefault(key, body.assignment) == body.assignment, (
                f"M3: {key} was given {self.assigned[key]!r} and {body.assignment!r}"
            )


class GroupMachine(RuleBasedStateMachine):
    """Clients that join, sync, leave, fall silent and repeat themselves, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Watched(GroupLimits())
        # Member id and instance id of everybody who was ever told one.
        self.claims: list[Claim] = [Claim("nobody")]
        self.syncs: list[tuple[Ticket, SyncRequest]] = []
        self.count = 0

    @initialize(delay_ms=st.sampled_from([0, 0, 3_000]), size_max=st.integers(1, 4))
    def limit(self, delay_ms: int, size_max: int) -> None:
        limits = GroupLimits(initial_rebalance_delay_ms=delay_ms, size_max=size_max)
        self.driver = Watched(limits)

    @rule(
        instance=st.sampled_from([None, None, "i1", "i2"]),
        knows=st.sampled_from(KNOWN),
        session_ms=st.sampled_from([6_000, SESSION_MAX_MS]),
        rebalance_ms=st.sampled_from([0, 6_000, REBALANCE_MAX_MS]),
        flags=st.tuples(st.booleans(), st.booleans()),
    )
    def join_new(
        self,
        instance: str | None,
        knows: tuple[Protocol, ...],
        session_ms: int,
        rebalance_ms: int,
        flags: tuple[bool, bool],
    ) -> None:
        self.count += 1
        claim = Claim(f"m{self.count}", instance)
        self.claims.append(claim)
        request = JoinRequest(
            new_member_id=claim.member_id,
            instance_id=instance,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=rebalance_ms,
            protocol_type="consumer",
            protocols=knows,
            must_know_id=flags[0],
            can_skip_assignment=flags[1],
        )
        self.driver.join(request)

    @rule(
        who=st.integers(0),
        knows=st.sampled_from(KNOWN),
        session_ms=st.sampled_from([6_000, SESSION_MAX_MS]),
        rebalance_ms=st.sampled_from([0, 6_000, REBALANCE_MAX_MS]),
    )
    def join_again(
        self, who: int, knows: tuple[Protocol, ...], session_ms: int, rebalance_ms: int
    ) -> None:
        claim = self.claims[-1 - who % len(self.claims)]
        request = JoinRequest(
            member_id=claim.member_id,
            new_member_id="",
            instance_id=claim.instance_id,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=rebalance_ms,
            protocol_type="consumer",
            protocols=knows,
        )
        self.driver.join(request)

    @rule(who=st.integers(0), back=st.sampled_from([0, 0, 0, 1]))
    def sync(self, who: int, back: int) -> None:
        claim = self.claims[-1 - who % len(self.claims)]
        generation = self.driver.heard_generation - back
        assignments: tuple[tuple[str, bytes], ...] = ()
        if self.driver.leaders.get(generation) == claim.member_id:
            # What a leader says is new each time it says it.
            unique = f"{len(self.syncs)}".encode()
            members = self.driver.group.members.by_id
            assignments = tuple((name, name.encode() + unique) for name in members)
        request = SyncRequest(claim=claim, generation=generation, assignments=assignments)
        self.syncs.append((self.driver.sync(request), request))

    @rule(who=st.integers(0))
    def heartbeat(self, who: int) -> None:
        claim = self.claims[-1 - who % len(self.claims)]
        generation = self.driver.heard_generation
        self.driver.heartbeat(claim.member_id, generation, claim.instance_id)

    @rule(who=st.integers(0), back=st.integers(1, 3))
    def commit_late(self, who: int, back: int) -> None:
        """A commit of a generation that is over is refused, whoever sends it."""
        claim = self.claims[-1 - who % len(self.claims)]
        generation = self.driver.group.document.generation - back
        if generation >= 0:
            error = self.driver.commit(claim.member_id, generation, claim.instance_id)
            assert error is not GroupError.NONE

    @rule(who=st.integers(0))
    def leave(self, who: int) -> None:
        self.driver.leave(self.claims[-1 - who % len(self.claims)])

    @rule(duration_ms=st.sampled_from([1, 500, 3_000, 6_000, SESSION_MAX_MS, REBALANCE_MAX_MS]))
    def wait(self, duration_ms: int) -> None:
        self.driver.wait(duration_ms)

    @rule()
    def restart(self) -> None:
        self.driver.restart()

    @rule()
    def wait_until_nobody_waits(self) -> None:
        self.driver.wait(PATIENCE_MS)
        assert not self.driver.asked, f"M5: {self.driver.asked} wait for ever"

    @invariant()
    def assignments_agree(self) -> None:
        for ticket, request in self.syncs:
            self.driver.check_assignment(ticket, request)

    @invariant()
    def everybody_who_asked_waits_or_was_answered(self) -> None:
        self.driver.check_waiting()
        members = self.driver.group.members.all()
        tickets = [ticket for one in members for ticket in (one.join_ticket, one.sync_ticket)]
        waiting = [ticket for ticket in tickets if ticket is not None]
        assert sorted(waiting) == sorted(self.driver.asked), "M1: somebody was forgotten"

    @invariant()
    def state_fits_the_members(self) -> None:
        group = self.driver.group
        assert len(group.members) <= 2 * self.driver.limits.size_max
        if group.state is GroupState.EMPTY:
            assert not group.members
        if group.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
            assert (group.members.leader or "") in group.members
            assert group.members.candidates()

    @invariant()
    def what_is_durable_is_what_was_heard_of(self) -> None:
        if self.driver.saved and self.driver.group.state is not GroupState.PREPARING_REBALANCE:
            saved, now = self.driver.saved[-1], self.driver.group.document
            assert saved.generation == now.generation
            assert saved.is_assigned == now.is_assigned


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(max_examples=100, stateful_step_count=40)
