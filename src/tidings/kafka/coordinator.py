"""The group coordinator: drives the groups of `tidings.core.membership` on the event loop.

It gives them the time, keeps what they want saved in the journal, and wakes the requests that wait.
A group is in memory only while it has members; otherwise what the journal knows of it is enough.

    H1  what a group wants saved is durable BEFORE the answers that come after it are given;
    H2  after a save that failed nothing in memory is believed: those who wait are sent away, and
        the group is made anew from the journal, as after a restart.
"""

import asyncio
import logging
import random
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar, cast

import msgspec

from tidings.core.membership.document import GroupDocument, decode_group, encode_group
from tidings.core.membership.generations import GroupLimits, GroupState
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
    SyncAnswer,
    SyncRequest,
    Ticket,
)
from tidings.errors import Corrupt, TidingsError
from tidings.kafka.group_log import Details, GroupLog, StoredGroup
from tidings.ports import Clock
from tidings.types import Offset, TopicPartition

LIVE_GROUPS_MAX = 10_000
"""Groups with members."""

WAITING_MAX = 50_000
"""Requests that wait for other members of their groups, or for the journal."""

_B = TypeVar("_B", JoinAnswer, SyncAnswer, LeaveAnswer)

_logger = logging.getLogger(__name__)


class Description(NamedTuple):
    """A group as others see it."""

    state: GroupState
    document: GroupDocument


class _Live:
    """A group in memory."""

    def __init__(self, group_id: str, group: Group, version: int) -> None:
        self.group_id = group_id
        self.group = group
        # Of the newest document that is durable.
        self.version = version
        # What is to be done, in order; a save holds up what comes after it.
        self.effects: deque[Effect] = deque()
        self.is_saving = False
        # Set for the next deadline that was known then.
        self.timer: asyncio.TimerHandle | None = None
        self.timer_ms = 0


class Coordinator:
    """The coordinator of all groups. Usable while `run` runs; until it has begun, requests wait."""

    def __init__(
        self, log: GroupLog, clock: Clock, rng: random.Random, limits: GroupLimits | None = None
    ) -> None:
        self._log = log
        self._clock = clock
        self._rng = rng
        self._limits = limits or GroupLimits()
        self._live: dict[str, _Live] = {}
        # Requests that wait for their answer. Bounded by WAITING_MAX.
        self._waiting: dict[Ticket, asyncio.Future[Body]] = {}
        self._ticket_count = 0
        self._has_begun = asyncio.Event()
        # Runs the saves; set while `run` runs.
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Take up the groups that the journal knows, then serve until cancelled."""
        await self._log.barrier()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._take_up_groups()
                self._has_begun.set()
                await asyncio.get_running_loop().create_future()
        finally:
            self._has_begun.clear()
            self._tasks = None
            for live in list(self._live.values()):
                self._give_up(live)

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
        if await self.describe(group_id) is None:
            return LeaveAnswer(error=GroupError.UNKNOWN_MEMBER_ID)
        return await self._ask(
            group_id,
            LeaveAnswer,
            lambda group, ticket, now_ms: group.leave(ticket, claims, now_ms),
        )

    async def heartbeat(self, group_id: str, claim: Claim, generation: int) -> GroupError:
        """Hear of a member."""
        await self._has_begun.wait()
        live = self._find(group_id)
        if live is None:
            return GroupError.UNKNOWN_MEMBER_ID
        return live.group.heartbeat(claim, generation, self._now_ms())

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
        if refusal is GroupError.NONE and offsets:
            await self._log.commit_offsets(group_id, offsets, may_move_back=True, details=details)
        return refusal

    async def check_commit(self, group_id: str, claim: Claim, generation: int) -> GroupError:
        """Say whether somebody may commit offsets now."""
        await self._has_begun.wait()
        live = self._find(group_id)
        if live is not None:
            return live.group.check_commit(claim, generation, self._now_ms())
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
        await self._has_begun.wait()
        live = self._find(group_id)
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
            await self._log.delete_offsets(group_id, free)
        return outcomes

    # Whole groups -------------------------------------------------------------------------------

    async def describe(self, group_id: str) -> Description | None:
        """Return what a group is; None for one that does not exist."""
        await self._has_begun.wait()
        live = self._find(group_id)
        if live is not None:
            return Description(live.group.state, live.group.document)
        stored = self._log.state.groups.get(group_id)
        return None if stored is None else Description(GroupState.EMPTY, _document_of(stored))

    async def list_groups(self) -> dict[str, Description]:
        """Return every group that exists."""
        await self._has_begun.wait()
        found = {}
        for group_id in [*self._log.state.groups, *self._live]:
            description = await self.describe(group_id)
            if description is not None:
                found[group_id] = description
        return found

    async def delete(self, group_id: str) -> GroupError:
        """Forget a group that has no members.

        Raises:
            Unavailable, Indeterminate: As `Log` does.
        """
        await self._has_begun.wait()
        live = self._find(group_id)
        if live is not None and not live.group.is_idle:
            return GroupError.NON_EMPTY_GROUP
        if live is None and group_id not in self._log.state.groups:
            return GroupError.GROUP_ID_NOT_FOUND
        if live is not None:
            self._give_up(live)
        # Meanwhile whoever comes is sent away, to come again.
        closed = self._live[group_id] = _Live(group_id, Group(self._limits), 0)
        closed.group.close()
        try:
            await self._log.delete_group(group_id)
        finally:
            self._drop(closed)
        return GroupError.NONE

    # Groups in memory ---------------------------------------------------------------------------

    def _take_up_groups(self) -> None:
        """Let the sessions of all members begin that the journal knows."""
        for group_id, stored in list(self._log.state.groups.items()):
            try:
                if _document_of(stored).members:
                    self._arm(self._load(group_id))
            except Corrupt:
                _logger.exception("group %s cannot be read", group_id)

    def _find(self, group_id: str) -> _Live | None:
        """Return a group if it has members, or somebody who is about to be one."""
        live = self._live.get(group_id)
        if live is None and group_id in self._log.state.groups:
            # Somebody else may have saved it: see what is there now.
            live = self._load(group_id)
            if live.group.is_idle:
                self._drop(live)
                return None
            self._arm(live)
        return live

    def _load(self, group_id: str) -> _Live:
        """Return a group, from memory or made anew from the journal."""
        live = self._live.get(group_id)
        if live is None:
            stored = self._log.state.groups.get(group_id)
            document = _document_of(stored) if stored and stored.document else None
            group = Group(self._limits, document, self._now_ms())
            live = _Live(group_id, group, stored.version if stored else 0)
            self._live[group_id] = live
        return live

    def _drop(self, live: _Live) -> None:
        if live.timer is not None:
            live.timer.cancel()
        if self._live.get(live.group_id) is live:
            del self._live[live.group_id]

    def _give_up(self, live: _Live) -> None:
        """Forget what is in memory of a group, and send away all who wait (H2)."""
        self._drop(live)
        for effect in [*live.effects, *live.group.close()]:
            if isinstance(effect, Answer):
                sent_away = type(effect.body)(error=GroupError.COORDINATOR_NOT_AVAILABLE)
                self._wake(effect.ticket, sent_away)
        live.effects.clear()

    # Requests and effects -----------------------------------------------------------------------

    async def _ask(
        self,
        group_id: str,
        kind: type[_B],
        event: Callable[[Group, Ticket, int], list[Effect]],
    ) -> _B:
        await self._has_begun.wait()
        is_full = group_id not in self._live and len(self._live) >= LIVE_GROUPS_MAX
        if is_full or len(self._waiting) >= WAITING_MAX:
            return kind(error=GroupError.COORDINATOR_NOT_AVAILABLE)
        live = self._load(group_id)
        self._ticket_count += 1
        ticket = Ticket(self._ticket_count)
        answer = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._do(live, event(live.group, ticket, self._now_ms()))
            return cast("_B", await answer)
        finally:
            self._waiting.pop(ticket, None)

    def _advance(self, live: _Live) -> None:
        live.timer = None
        self._do(live, live.group.advance(self._now_ms()))

    def _do(self, live: _Live, effects: list[Effect]) -> None:
        live.effects.extend(effects)
        self._arm(live)
        if not live.is_saving:
            self._go_on(live)

    def _go_on(self, live: _Live) -> None:
        """Do what can be done at once; leave the rest to a task."""
        while live.effects and isinstance(live.effects[0], Answer):
            answer = live.effects.popleft()
            assert isinstance(answer, Answer), "H1: an answer stands first"
            self._wake(answer.ticket, answer.body)
        if live.effects:
            assert self._tasks is not None, "H1: nobody saves before `run`"
            live.is_saving = True
            self._tasks.create_task(self._save(live), name=f"save {live.group_id}")
        elif live.group.is_idle:
            self._drop(live)

    async def _save(self, live: _Live) -> None:
        """Make the document at the head durable, then go on."""
        if not live.effects:
            # It was given up before this began.
            return
        save = live.effects.popleft()
        assert not isinstance(save, Answer), "H1: a save stands first"
        document = msgspec.structs.replace(save.document, saved_ms=self._clock.now_ms())
        try:
            await self._log.save_group(live.group_id, live.version + 1, encode_group(document))
        except TidingsError as error:
            _logger.warning("group %s was not saved: %s", live.group_id, error)
            self._give_up(live)
            return
        live.version += 1
        live.is_saving = False
        self._go_on(live)

    def _wake(self, ticket: Ticket, body: Body) -> None:
        """Answer a request, unless it has gone away."""
        answer = self._waiting.pop(ticket, None)
        if answer is not None and not answer.done():
            answer.set_result(body)

    def _arm(self, live: _Live) -> None:
        """Set the timer. What only puts deadlines off need not: a timer may come too early."""
        deadline_ms = live.group.next_deadline_ms
        if live.timer is not None:
            if deadline_ms is not None and live.timer_ms <= deadline_ms:
                return
            live.timer.cancel()
            live.timer = None
        if deadline_ms is not None:
            loop = asyncio.get_running_loop()
            live.timer = loop.call_at(deadline_ms / 1000, self._advance, live)
            live.timer_ms = deadline_ms

    def _now_ms(self) -> int:
        """Return the loop's time; rounded, so that a timer finds its deadline due."""
        return round(asyncio.get_running_loop().time() * 1000)


def _document_of(stored: StoredGroup) -> GroupDocument:
    """Return the document of a group in the state; one without has only committed offsets."""
    if not stored.document:
        return GroupDocument(0, "", None, None, is_assigned=False, members=[])
    return decode_group(stored.document)
