"""The members of one group: who they are, what they can, which protocol they agree on.

M6  an instance id belongs to one member at a time.
"""

from collections import Counter
from dataclasses import dataclass

from tidings.core.membership.document import MemberDocument, Protocol
from tidings.core.membership.messages import Claim, GroupError, JoinedMember, JoinRequest, Ticket


@dataclass(slots=True, kw_only=True)
class Member:
    """One member."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[Protocol, ...]
    assignment: bytes = b""
    # The requests of this member that wait for an answer.
    join_ticket: Ticket | None = None
    sync_ticket: Ticket | None = None
    # When it is given up unless it is heard of; None while it waits for an answer.
    deadline_ms: int | None = None

    def metadata(self, protocol: str | None) -> bytes:
        """What it says of itself for this protocol; empty for one that it does not know."""
        return next((known.metadata for known in self.protocols if known.name == protocol), b"")

    def update(self, request: JoinRequest) -> None:
        """Take over what a new join of this member says."""
        self.session_timeout_ms = request.session_timeout_ms
        self.rebalance_timeout_ms = request.rebalance_timeout_ms
        self.protocols = request.protocols
        self.client_id = request.client_id
        self.client_host = request.client_host


class Members:
    """The members by id, in the order in which they joined; one of them leads."""

    def __init__(self) -> None:
        self.by_id: dict[str, Member] = {}
        self.leader: str | None = None
        # Instance id to member id, of static members (KIP-345).
        self._by_instance: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.by_id)

    def __contains__(self, member_id: str) -> bool:
        return member_id in self.by_id

    def all(self) -> list[Member]:
        """Return the members as they are now."""
        return list(self.by_id.values())

    def add(self, member: Member) -> None:
        """Take somebody in; the first leads."""
        self.by_id[member.member_id] = member
        if member.instance_id is not None:
            assert member.instance_id not in self._by_instance, f"M6: {member.instance_id} twice"
            self._by_instance[member.instance_id] = member.member_id
        if self.leader is None:
            self.leader = member.member_id

    def remove(self, member: Member) -> None:
        """Let somebody go; if it led, the next one does."""
        del self.by_id[member.member_id]
        if member.instance_id is not None:
            del self._by_instance[member.instance_id]
        if self.leader == member.member_id:
            self.leader = next(iter(self.by_id), None)

    def static_member(self, instance_id: str) -> Member | None:
        """Return who has this instance id."""
        member_id = self._by_instance.get(instance_id)
        return None if member_id is None else self.by_id[member_id]

    def rename(self, member: Member, member_id: str) -> None:
        """Give a static member that came back its new id; it still leads if it did."""
        assert member.instance_id is not None, "M6: only static members come back"
        was_leader = self.leader == member.member_id
        self.remove(member)
        member.member_id = member_id
        self.add(member)
        if was_leader:
            self.leader = member_id

    def find(self, claim: Claim) -> Member | GroupError:
        """Return the member that somebody claims to be, or why it is not."""
        if claim.instance_id is not None:
            static = self._by_instance.get(claim.instance_id)
            if static is None:
                return GroupError.UNKNOWN_MEMBER_ID
            if static != claim.member_id:
                return GroupError.FENCED_INSTANCE_ID
        return self.by_id.get(claim.member_id, GroupError.UNKNOWN_MEMBER_ID)

    def elect_waiting(self) -> bool:
        """Let somebody lead who waits for the generation; return False if nobody does."""
        leader = self.by_id.get(self.leader or "")
        if leader is not None and leader.join_ticket is not None:
            return True
        waiting = [member for member in self.all() if member.join_ticket is not None]
        if waiting:
            self.leader = waiting[0].member_id
        return bool(waiting)

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long the slowest member may take to join."""
        return max((member.rebalance_timeout_ms for member in self.all()), default=0)

    def candidates(self) -> list[str]:
        """Return the protocols that every member knows, as the one who joined first prefers."""
        counts = Counter(
            name
            for member in self.all()
            for name in dict.fromkeys(known.name for known in member.protocols)
        )
        return [name for name, count in counts.items() if count == len(self)]

    def select_protocol(self) -> str:
        """Return the candidate that most members prefer; the first of several."""
        candidates = self.candidates()
        votes = Counter(
            next(known.name for known in member.protocols if known.name in candidates)
            for member in self.all()
        )
        return max(candidates, key=lambda name: votes[name])

    def as_joined(self, protocol: str | None) -> tuple[JoinedMember, ...]:
        """Return the members as their leader sees them."""
        return tuple(
            JoinedMember(member.member_id, member.instance_id, member.metadata(protocol))
            for member in self.all()
        )

    def as_documents(self) -> list[MemberDocument]:
        """Return the members as they are stored."""
        return [
            MemberDocument(
                member.member_id,
                member.instance_id,
                member.client_id,
                member.client_host,
                member.session_timeout_ms,
                member.rebalance_timeout_ms,
                list(member.protocols),
                member.assignment,
            )
            for member in self.all()
        ]


def restored(document: MemberDocument) -> Member:
    """Return a member as it was stored."""
    return Member(
        member_id=document.member_id,
        instance_id=document.instance_id,
        client_id=document.client_id,
        client_host=document.client_host,
        session_timeout_ms=document.session_timeout_ms,
        rebalance_timeout_ms=document.rebalance_timeout_ms,
        protocols=tuple(document.protocols),
        assignment=document.assignment,
    )
