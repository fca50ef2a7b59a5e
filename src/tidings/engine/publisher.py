"""The publish loop: fills the journal's slots. This is the whole consensus.

While one append is in flight, submissions gather (the node's own, and those that others forwarded);
when it returns, all of them form the next entry. Losing a slot costs nothing but the try: the same
submissions go into the next one.

    U1  an append is repeated, unchanged, to the same slot until its outcome is known;
    U2  a slot is tried only when the one before is known to be filled (`Journal.filled`);
    U3  the journal learns of an entry, and so anybody else, only when its slot is filled;
    U4  a submission is handed back as refused only if no append that held it may have been carried
        out, here or elsewhere.

What an entry does is decided by the fold, not here: a submission that reaches the journal twice, or
too late, is dropped there, so publishing without having folded all that went before is safe.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import NamedTuple

from tidings.core.entry import Entry, Submission, encode_entry
from tidings.engine.backoff import Backoff
from tidings.engine.journal import Journal, Missing
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.ports import Appended, AppendOutcome, Clock, Occupied, Trimmed, Unsettled
from tidings.types import Slot

log = logging.getLogger(__name__)

Refuse = Callable[[Unavailable], None]
"""Takes a submission back that certainly reached nobody, with the reason."""

SMOOTHING = 0.2
"""Weight of the newest append in the smoothed time that one takes."""

FRUITLESS_TRIES = 2
"""After so many lost slots in a row a publisher has the journal look for its end meanwhile."""


class _Offer(NamedTuple):
    """A submission, and who takes it back because nobody else can have it (U4)."""

    submission: Submission
    refuse: Refuse | None


class Publisher:
    """Publishes what is offered, one append at a time."""

    def __init__(
        self,
        incarnation: str,
        journal: Journal,
        clock: Clock,
        rng: random.Random,
        settings: Settings,
    ) -> None:
        self._incarnation = incarnation
        self._journal = journal
        self._clock = clock
        self._rng = rng
        self._settings = settings
        # The newest submission of each origin that still has to reach the journal.
        self._offered: dict[str, _Offer] = {}
        self._stirred = asyncio.Event()
        # Between appends while the order store refuses them.
        self._pause = Backoff(settings)
        # Smoothed seconds that the order store takes to answer an append.
        self._append_s = 0.0

    def offer(self, submission: Submission, refuse: Refuse | None = None) -> None:
        """Publish a submission with the next entry, unless it turns out to be settled already.

        Call `refuse` instead of trying for ever while the order store refuses every append. Only
        who never gave the submission to anybody else may ask for that.
        """
        waiting = self._offered.get(submission.origin)
        if waiting is None or waiting.submission.number < submission.number:
            self._offered[submission.origin] = _Offer(submission, refuse)
            self._stirred.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._journal.recovered.wait()
        loop = asyncio.get_running_loop()
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            started = loop.time()
            if await self._publish():
                linger_s = started + self._settings.linger_s - loop.time()
                if (pause_s := max(linger_s, self._courtesy_s())) > 0:
                    await asyncio.sleep(pause_s)

    def _courtesy_s(self) -> float:
        """How long to leave the next slot to others, if anybody else may write.

        Who has just filled a slot is always the first to know that the next one is empty. Where
        every message takes equally long, somebody who is cut off from this node would lose every
        slot to it, for ever.
        """
        if self._journal.store.is_exclusive:
            return 0.0
        return self._rng.uniform(0, self._settings.courtesy * self._append_s)

    async def _publish(self) -> bool:
        """Fill one slot with all that is offered, trying one after the other until one is ours.

        Return False if all of it turned out to be settled.
        """
        losses = 0
        while True:
            slot = self._journal.filled
            entry = self._gather(slot)
            if entry is None:
                return False
            if await self._fill(slot, encode_entry(entry), entry):
                for submission in entry.submissions:
                    self._withdraw(submission)
                return True
            losses += 1
            if losses >= FRUITLESS_TRIES:
                self._journal.look_ahead()

    def _gather(self, slot: Slot) -> Entry | None:
        """Make an entry for `slot` of what is offered and can still be applied there."""
        chosen: list[Submission] = []
        size_left = self._journal.store.entry_bytes_max
        offered = [each.submission for each in self._offered.values()]
        for submission in offered:
            settled = self._journal.state.is_settled(submission.origin, submission.number)
            if settled or slot > submission.last_slot:
                self._withdraw(submission)
                continue
            if len(offered) > 1:
                size_left -= submission.size_bytes
            if chosen and size_left < 0:
                self._stirred.set()
                break
            chosen.append(submission)
        if not chosen:
            return None
        return Entry(self._incarnation, self._clock.now_ms(), chosen)

    def _withdraw(self, submission: Submission) -> None:
        if self._offer_of(submission) is not None:
            del self._offered[submission.origin]

    def _offer_of(self, submission: Submission) -> _Offer | None:
        """Return how a submission is offered, unless its origin has offered a newer one."""
        offer = self._offered.get(submission.origin)
        return offer if offer is not None and offer.submission is submission else None

    def _hand_back(self, entry: Entry, error: Unavailable) -> None:
        """Give the submissions of an entry that was refused to those who take them back."""
        for submission in entry.submissions:
            offer = self._offer_of(submission)
            if offer is not None and offer.refuse is not None:
                self._withdraw(submission)
                offer.refuse(error)

    async def _fill(self, slot: Slot, data: bytes, entry: Entry) -> bool:
        """Append `data` to `slot` until the outcome is known; return whether the slot is ours."""
        backoff = Backoff(self._settings)
        ambiguous = False
        while True:
            try:
                outcome = await self._append(slot, data)
            except Unavailable as error:
                log.warning("the order store takes no entries: %s", error)
                if ambiguous:
                    await backoff.pause()
                    continue
                self._hand_back(entry, error)
                await self._pause.pause()
                return False
            self._pause.reset()
            match outcome:
                case Appended():
                    self._journal.take(slot, data, entry)
                    return True
                case Occupied(held):
                    self._journal.note_filled(slot, urgent=True)
                    if held is not None:
                        self._journal.learn(slot, [held])
                        return held == data
                    return ambiguous and await self._holds(slot, data)
                case Trimmed():
                    await self._find_the_end()
                    return False
                case Unsettled():
                    ambiguous = True
                    await backoff.pause()

    async def _append(self, slot: Slot, data: bytes) -> AppendOutcome:
        loop = asyncio.get_running_loop()
        started = loop.time()
        outcome = await self._journal.store.append(slot, data)
        if not isinstance(outcome, Unsettled):
            self._append_s += SMOOTHING * (loop.time() - started - self._append_s)
        return outcome

    async def _holds(self, slot: Slot, data: bytes) -> bool:
        """Whether a filled slot holds exactly this; an earlier try may have put it there."""
        backoff = Backoff(self._settings)
        while True:
            try:
                held, _ = await self._journal.entries.fetch(slot)
            except Missing:
                # Trimmed since: whether ours was applied is in the state by then.
                await self._find_the_end()
                return False
            except Unavailable:
                await backoff.pause()
            else:
                self._journal.learn(slot, [held])
                return held == data

    async def _find_the_end(self) -> None:
        """Read on to the journal's end: trying slot after slot might never overtake the others."""
        backoff = Backoff(self._settings)
        while True:
            try:
                await self._journal.catch_up()
            except Unavailable:
                await backoff.pause()
            else:
                return
