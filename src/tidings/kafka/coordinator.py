"""The group coordinator: drives the groups of `tidings.core.membership` on the event loop.

It gives them the time, keeps what they want saved in the journal, and wakes the requests that wait.
A group is in memory only while it has members; otherwise what the journal knows of it is enough.

    H1  what a group wants saved is durable BEFORE the answers that come after it are given;
    H2  after a save that failed nothing in memory is believed: those who wait are sent away, and
        the group is made anew from the journal, as after a restart;
    H3  what follows from a group in memory (a commit, a deletion) says which version of the
        document that is, so that the fold refuses it if another broker has saved the group since.

Of several brokers, each coordinates the groups that it is preferred for. Two may think so for a
while: who takes up a group that another one had saves it anew, and with that fences the other.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tidings.core.membership.document import GroupDocument
from tidings.core.membership.generations import GroupLimits, GroupState
from tidings.core.membership.group import Group
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
from tidings.errors import Corrupt, Fenced, Unavailable
from tidings.kafka.group_log import Details, GroupLog
from tidings.kafka.live_groups import B, LiveGroups, document_of, now_ms, state_of
from tidings.ports import Clock
from tidings.types import Offset, TopicPartition

RETRY_S = 0.5
"""Between two tries to learn which groups there are."""

_logger = logging.getLogger(__name__)


class Description(NamedTuple):
    """A group as others see it."""

    state: GroupState
    document: GroupDocument


class Coordinator:
    """The coordinator of all groups. Usable while `run` runs; until it has begun, requests wait."""

    def __init__(
        self,
        log: GroupLog,
        clock: Clock,
        rng: random.Random,
        limits: GroupLimits | None = None,
        *,
        is_own: Callable[[str], bool] | None = None,
    ) -> None:
        """Coordinate the groups that `is_own` says; without it there is no other coordinator."""
        self._log = log
        self._rng = rng
        self._has_rivals = is_own is not None
        self._is_own = is_own or (lambda _: True)
        # Set when other groups than before may be this coordinator's.
        self._moved = asyncio.Event()
        self._groups = LiveGroups(log, clock, limits or GroupLimits(), is_own=is_own)
        self._has_begun = asyncio.Event()

    async def run(self) -> None:
        """Take up the groups that the journal knows, then serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._groups.tasks:
                while True:
                    self._moved.clear()
                    await self._surely_barrier()
                    self._groups.give_up_others()
                    self._take_up_groups()
                    self._has_begun.set()
                    await self._moved.wait()
        finally:
            self._has_begun.clear()
            self._groups.tasks = None
            self._groups.give_up_all()

    def look_again(self) -> None:
        """Give up groups that are not this coordinator's any more, and take up those that are."""
        self._moved.set()

    async def _surely_barrier(self) -> None:
        while True:
            try:
                await self._log.barrier()
            except Unavailable as error:
                _logger.warning("groups wait for the order store: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                return

    def new_member_id(self, client_id: str) -> str:
        """Return an id that nobody else has."""
        return f"{client_id}-{uuid.UUID(int=self._rng.getrandbits(128), version=4)}"

    # Membership ---------------------------------------------------------------------------------

    async def join(self, group_id: str, request: JoinRequest) -> JoinAnswer:
        """Wait for the next generation.

        Raises:
            Corrupt: What the journal holds of this group cannot be read. So do all others.
        """
        return await self._ask(
            group_id,
            JoinAnswer,
            lambda group, ticket, now_ms: group.join(ticket, request, now_ms),
        )

    async def sync(self, group_id: str, request: SyncRequest) -> SyncAnswer:
        """Wait for an assignment."""
        return await self._ask(
            group_id,
            SyncAnswer,
            lambda group, ticket, now_ms: group.sync(ticket, request, now_ms),
        )

    async def leave(self, group_id: str, claims: list[Claim]) -> LeaveAnswer:
        """Let members go."""
        if await self._is_coordinator_of(group_id) and await self.describe(group_id) is None:
            return LeaveAnswer(error=GroupError.UNKNOWN_MEMBER_ID)
        return await self._ask(
            group_id,
            LeaveAnswer,
            lambda group, ticket, now_ms: group.leave(ticket, claims, now_ms),
        )

    async def heartbeat(self, group_id: str, claim: Claim, generation: int) -> GroupError:
        """Hear of a member."""
        if not await self._is_coordinator_of(group_id):
            return GroupError.NOT_COORDINATOR
        live = self._groups.find(group_id)
        if live is None:
            return GroupError.UNKNOWN_MEMBER_ID
        return live.group.heartbeat(claim, generation, now_ms())

    # Offsets ------------------------------------------------------------------------------------

    async def commit(
        self,
        group_id: str,
        claim: Claim,
        generation: int,
        offsets: Mapping[TopicPartition, Offset],
        details: Details,
    ) -> GroupError:
        """Commit offsets, which may go back, if the generation is the present one.

        Raises:
            UnknownTopicOrPartition, InvalidRequest, Unavailable, Indeterminate: As `Log` does.
        """
        refusal = await self.check_commit(group_id, claim, generation)
        while (saved := await self._groups.settled(group_id)) is not None:
            if saved.is_given_up:
                return GroupError.COORDINATOR_NOT_AVAILABLE
            refusal = await self.check_commit(group_id, claim, generation)
        if refusal is not GroupError.NONE or not offsets:
            return refusal
        try:
            await self._log.commit_offsets(
                group_id,
                offsets,
                may_move_back=True,
                details=details,
                version=self._groups.version(group_id),
            )
        except Fenced:
            return self._groups.fenced(group_id)
        return GroupError.NONE

    async def check_commit(self, group_id: str, claim: Claim, generation: int) -> GroupError:
        """Say whether somebody may commit offsets now."""
        if not await self._is_coordinator_of(group_id):
            return GroupError.NOT_COORDINATOR
        live = self._groups.find(group_id)
        if live is not None:
            return live.group.check_commit(claim, generation, now_ms())
        if generation < 0:
            return GroupError.NONE
        is_known = group_id in self._log.state.groups
        return GroupError.UNKNOWN_MEMBER_ID if is_known else GroupError.ILLEGAL_GENERATION

    async def delete_offsets(
        self, group_id: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, GroupError] | GroupError:
        """Forget committed offsets of topics that no member reads; say what became of each.

        Raises:
            Unavailable, Indeterminate: As `Log` does.
        """
        if not await self._is_coordinator_of(group_id):
            return GroupError.NOT_COORDINATOR
        await self._groups.settled(group_id)
        live = self._groups.find(group_id)
        if live is None and group_id not in self._log.state.groups:
            return GroupError.GROUP_ID_NOT_FOUND
        if live is not None and not live.group.is_idle and not live.group.has_consumers:
            return GroupError.NON_EMPTY_GROUP
        outcomes = {
            name: GroupError.GROUP_SUBSCRIBED_TO_TOPIC
            if live is not None and live.group.is_subscribed(name.topic)
            else GroupError.NONE
            for name in partitions
        }
        free = [name for name, outcome in outcomes.items() if outcome is GroupError.NONE]
        if free:
            try:
                await self._log.delete_offsets(
                    group_id, free, version=self._groups.version(group_id)
                )
            except Fenced:
                return self._groups.fenced(group_id)
        return outcomes

    # Whole groups -------------------------------------------------------------------------------

    async def describe(self, group_id: str) -> Description | None:
        """Return what a group is; None for one that does not exist.

        Of a group that another broker coordinates, it is what was saved last.
        """
        if await self._is_coordinator_of(group_id):
            live = self._groups.find(group_id)
            if live is not None:
                return Description(live.group.state, live.group.document)
        stored = self._log.state.groups.get(group_id)
        if stored is None:
            return None
        document = document_of(stored)
        return Description(state_of(document), document)

    async def list_groups(self) -> dict[str, Description]:
        """Return every group that exists and that no other broker coordinates."""
        await self._has_begun.wait()
        if self._has_rivals:
            await self._log.barrier()
        found = {}
        for group_id in filter(self._is_own, [*self._log.state.groups, *self._groups]):
            description = await self.describe(group_id)
            if description is not None:
                found[group_id] = description
        return found

    async def delete(self, group_id: str) -> GroupError:
        """Forget a group that has no members.

        Raises:
            Unavailable, Indeterminate: As `Log` does.
        """
        if not await self._is_coordinator_of(group_id):
            return GroupError.NOT_COORDINATOR
        await self._groups.settled(group_id)
        live = self._groups.find(group_id)
        if live is not None and not live.group.is_idle:
            return GroupError.NON_EMPTY_GROUP
        if live is None and group_id not in self._log.state.groups:
            return GroupError.GROUP_ID_NOT_FOUND
        # Meanwhile whoever comes is sent away, to come again.
        closed = self._groups.close(group_id)
        try:
            await self._log.delete_group(group_id, version=closed.version)
        except Fenced:
            return GroupError.NON_EMPTY_GROUP
        finally:
            self._groups.drop(closed)
        return GroupError.NONE

    # Whose groups these are ---------------------------------------------------------------------

    async def _is_coordinator_of(self, group_id: str) -> bool:
        """Whether a request is for this coordinator; if so, it knows what others saved before.

        Raises:
            Unavailable: The order store gave no answer.
        """
        await self._has_begun.wait()
        if self._has_rivals and self._is_own(group_id) and group_id not in self._groups:
            await self._log.barrier()
        return self._is_own(group_id)

    def _take_up_groups(self) -> None:
        """Let the sessions of all members begin that the journal knows."""
        for group_id, stored in list(self._log.state.groups.items()):
            try:
                if self._is_own(group_id) and document_of(stored).members:
                    self._groups.arm(self._groups.load(group_id))
            except Corrupt:
                _logger.exception("group %s cannot be read", group_id)

    async def _ask(
        self,
        group_id: str,
        kind: type[B],
        event: Callable[[Group, Ticket, int], list[Effect]],
    ) -> B:
        if not await self._is_coordinator_of(group_id):
            return kind(error=GroupError.NOT_COORDINATOR)
        return await self._groups.ask(group_id, kind, event)
