"""Groups in memory: what each wants done, in order, and the requests that wait for it.

H1 and H2 stand in `tidings.kafka.coordinator`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

import msgspec

from tidings.core.membership.document import GroupDocument, decode_group, encode_group
from tidings.core.membership.generations import GroupLimits, GroupState
from tidings.core.membership.group import Group
from tidings.core.membership.messages import (
    Answer,
    Body,
    Effect,
    GroupError,
    JoinAnswer,
    LeaveAnswer,
    Save,
    SyncAnswer,
    Ticket,
)
from tidings.errors import TidingsError
from tidings.kafka.group_log import GroupLog, StoredGroup
from tidings.ports import Clock

LIVE_GROUPS_MAX = 10_000
"""Groups with members."""

WAITING_MAX = 50_000
"""Requests that wait for other members of their groups, or for the journal."""

B = TypeVar("B", JoinAnswer, SyncAnswer, LeaveAnswer)

_logger = logging.getLogger(__name__)


class LiveGroup:
    """A group in memory."""

    def __init__(self, group_id: str, group: Group, version: int) -> None:
        self.group_id = group_id
        self.group = group
        # Of the newest document that is durable.
        self.version = version
        # What is to be done, in order; a save holds up what comes after it.
        self.effects: deque[Effect] = deque()
        self.is_saving = False
        # Set while nothing is being saved, and for good once it was given up.
        self.is_settled = asyncio.Event()
        self.is_settled.set()
        # Whether what is here is not believed any more.
        self.is_given_up = False
        # Set for the next deadline that was known then.
        self.timer: asyncio.TimerHandle | None = None
        self.timer_ms = 0


class LiveGroups:
    """The groups that have members."""

    def __init__(
        self,
        log: GroupLog,
        clock: Clock,
        limits: GroupLimits,
        *,
        is_own: Callable[[str], bool] | None,
    ) -> None:
        """Take groups up from `log`; `is_own`: see `Coordinator`."""
        self._log = log
        self._clock = clock
        self._limits = limits
        self._has_rivals = is_own is not None
        self._is_own = is_own or (lambda _: True)
        self._live: dict[str, LiveGroup] = {}
        # Requests that wait for their answer. Bounded by WAITING_MAX.
        self._waiting: dict[Ticket, asyncio.Future[Body]] = {}
        self._ticket_count = 0
        # Runs the saves; set while the coordinator runs.
        self.tasks: asyncio.TaskGroup | None = None

    def __contains__(self, group_id: str) -> bool:
        """Whether a group is in memory."""
        return group_id in self._live

    def __iter__(self) -> Iterator[str]:
        """Go through the groups in memory, of which some may go meanwhile."""
        return iter(list(self._live))

    async def settled(self, group_id: str) -> LiveGroup | None:
        """Return a group that was being saved once that is over; None if it was not.

        Meanwhile it is open which version of the document there will be.
        """
        live = self._live.get(group_id)
        if live is None or not live.is_saving:
            return None
        await live.is_settled.wait()
        return live

    def find(self, group_id: str) -> LiveGroup | None:
        """Return a group if it has members, or somebody who is about to be one."""
        former = self._live.get(group_id)
        if group_id not in self._log.state.groups:
            return former
        # Somebody else may have saved it: see what is there now.
        live = self.load(group_id)
        if live is not former:
            if live.group.is_idle:
                self.drop(live)
                return None
            self.arm(live)
        return live

    def load(self, group_id: str) -> LiveGroup:
        """Return a group, from memory or made anew from the journal."""
        live = self._live.get(group_id)
        stored = self._log.state.groups.get(group_id)
        version = self.stored_version(group_id)
        if live is not None and not live.is_saving and version > live.version:
            # Somebody else has saved it: what is here follows from what is no more.
            self.give_up(live)
            live = None
        if live is None:
            document = document_of(stored) if stored and stored.document else None
            group = Group(self._limits, document, now_ms())
            live = LiveGroup(group_id, group, version)
            self._live[group_id] = live
            if self._has_rivals and document is not None and document.members:
                self._do(live, [Save(document)])
        return live

    def stored_version(self, group_id: str) -> int:
        """Return the version of a group's document in the journal; 0 for none."""
        stored = self._log.state.groups.get(group_id)
        return stored.version if stored else 0

    def version(self, group_id: str) -> int:
        """Return the version of the document that whatever is decided now follows from."""
        live = self._live.get(group_id)
        return self.stored_version(group_id) if live is None else live.version

    def fenced(self, group_id: str) -> GroupError:
        """Give up a group that somebody else has saved."""
        _logger.info("group %s was taken up by another broker", group_id)
        live = self._live.get(group_id)
        if live is not None:
            self.give_up(live)
        return GroupError.COORDINATOR_NOT_AVAILABLE

    def close(self, group_id: str) -> LiveGroup:
        """Give up a group, and send away whoever comes, until what is returned is dropped."""
        live = self._live.get(group_id)
        if live is not None:
            self.give_up(live)
        closed = LiveGroup(group_id, Group(self._limits), self.stored_version(group_id))
        self._live[group_id] = closed
        closed.group.close()
        return closed

    def give_up_others(self) -> None:
        """Give up the groups that are another coordinator's by now."""
        for live in list(self._live.values()):
            if not self._is_own(live.group_id):
                self.give_up(live)

    def give_up_all(self) -> None:
        """Give up everything, as a crash does."""
        for live in list(self._live.values()):
            self.give_up(live)

    def drop(self, live: LiveGroup) -> None:
        """Forget what is in memory of a group."""
        if live.timer is not None:
            live.timer.cancel()
        live.is_settled.set()
        if self._live.get(live.group_id) is live:
            del self._live[live.group_id]

    def give_up(self, live: LiveGroup) -> None:
        """Forget what is in memory of a group, and send away all who wait (H2)."""
        live.is_given_up = True
        self.drop(live)
        away = GroupError.COORDINATOR_NOT_AVAILABLE
        if not self._is_own(live.group_id):
            away = GroupError.NOT_COORDINATOR
        for effect in [*live.effects, *live.group.close()]:
            if isinstance(effect, Answer):
                sent_away = type(effect.body)(error=away)
                self._wake(effect.ticket, sent_away)
        live.effects.clear()

    # Requests and effects -----------------------------------------------------------------------

    async def ask(
        self,
        group_id: str,
        kind: type[B],
        event: Callable[[Group, Ticket, int], list[Effect]],
    ) -> B:
        """Let something happen to a group; return what it answers."""
        is_full = group_id not in self._live and len(self._live) >= LIVE_GROUPS_MAX
        if is_full or len(self._waiting) >= WAITING_MAX:
            return kind(error=GroupError.COORDINATOR_NOT_AVAILABLE)
        live = self.load(group_id)
        self._ticket_count += 1
        ticket = Ticket(self._ticket_count)
        answer = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        try:
            self._do(live, event(live.group, ticket, now_ms()))
            return cast("B", await answer)
        finally:
            self._waiting.pop(ticket, None)

    def _advance(self, live: LiveGroup) -> None:
        live.timer = None
        self._do(live, live.group.advance(now_ms()))

    def _do(self, live: LiveGroup, effects: list[Effect]) -> None:
        live.effects.extend(effects)
        self.arm(live)
        if not live.is_saving:
            self._go_on(live)

    def _go_on(self, live: LiveGroup) -> None:
        """Do what can be done at once; leave the rest to a task."""
        while live.effects and isinstance(live.effects[0], Answer):
            answer = live.effects.popleft()
            assert isinstance(answer, Answer), "H1: an answer stands first"
            self._wake(answer.ticket, answer.body)
        if live.effects:
            assert self.tasks is not None, "H1: nobody saves before `run`"
            live.is_saving = True
            live.is_settled.clear()
            self.tasks.create_task(self._save(live), name=f"save {live.group_id}")
        elif live.group.is_idle:
            self.drop(live)

    async def _save(self, live: LiveGroup) -> None:
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
            self.give_up(live)
            return
        live.version += 1
        live.is_saving = False
        live.is_settled.set()
        self._go_on(live)

    def _wake(self, ticket: Ticket, body: Body) -> None:
        """Answer a request, unless it has gone away."""
        answer = self._waiting.pop(ticket, None)
        if answer is not None and not answer.done():
            answer.set_result(body)

    def arm(self, live: LiveGroup) -> None:
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


def now_ms() -> int:
    """Return the loop's time; rounded, so that a timer finds its deadline due."""
    return round(asyncio.get_running_loop().time() * 1000)


def state_of(document: GroupDocument) -> GroupState:
    """Return the state of a group of which only the document is known."""
    if not document.members:
        return GroupState.EMPTY
    return GroupState.STABLE if document.is_assigned else GroupState.COMPLETING_REBALANCE


def document_of(stored: StoredGroup) -> GroupDocument:
    """Return the document of a group in the state; one without has only committed offsets."""
    if not stored.document:
        return GroupDocument(0, "", None, None, is_assigned=False, members=[])
    return decode_group(stored.document)
