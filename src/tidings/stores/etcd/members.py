"""Which member of a cluster is asked next, by what became of the calls before; sends nothing.

Calls stay with one member, the *current* one, while it answers. One that was silent for its
*patience* is avoided: it is asked again after `AVOID_S`, or when all are avoided. So that a cluster
that is slow, or has no leader for a moment, is not asked ever more, silence doubles the patience
that a member gets, and an answer within the first patience ends that.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SILENCE_SHARE = 0.1
"""This part of a call's deadline is a member's first patience, if there is another to ask: half a
second of five, some hundred times what an append takes on a good disk."""

PATIENCE_DOUBLINGS_MAX = 6
"""More silence makes a member's patience no longer."""

AVOID_S = 15.0
"""How long a member that was silent is asked only if there is no other."""


@dataclass(slots=True)
class _Member:
    # How often it was silent since it last answered in time.
    silences: int = 0
    # Loop time until which it is avoided, and at which its silence was noted last.
    avoided_until: float = 0.0
    noted_at: float = 0.0


class Members:
    """What is known of each member, by its place in the address."""

    def __init__(self, count: int, *, timeout_s: float, now: Callable[[], float]) -> None:
        """`timeout_s` is the deadline of a call; `now` returns loop time."""
        self._now = now
        self._timeout_s = timeout_s
        self._first_patience_s = timeout_s * SILENCE_SHARE if count > 1 else timeout_s
        self._members = [_Member() for _ in range(count)]
        self.current = 0
        # Set, and replaced, when another member becomes the current one.
        self._moved = asyncio.Event()

    def in_order(self) -> Sequence[int]:
        """Return all places, the one to ask first before the others."""
        now, count = self._now(), len(self._members)

        def rank(place: int) -> tuple[float, int]:
            until = self._members[place].avoided_until
            return (until if until > now else 0.0, (place - self.current) % count)

        return sorted(range(count), key=rank)

    def patience_s(self, place: int) -> float:
        """Return how long to wait for a member."""
        doublings = min(self._members[place].silences, PATIENCE_DOUBLINGS_MAX)
        return min(self._first_patience_s * (1 << doublings), self._timeout_s)

    def note_answer(self, place: int, asked_at: float) -> None:
        """A member answered what it was asked at that loop time, if only to refuse it."""
        member = self._members[place]
        member.avoided_until = 0.0
        if self._now() - asked_at <= self._first_patience_s:
            member.silences = 0

    def note_silence(self, place: int, asked_at: float) -> None:
        """A member did not answer within its patience; calls of one moment count once."""
        member = self._members[place]
        if asked_at < member.noted_at:
            return
        member.silences += 1
        member.noted_at = self._now()
        member.avoided_until = member.noted_at + AVOID_S

    def move_on(self, place: int) -> None:
        """Ask another member first from now on than this one, unless that is so already."""
        if place == self.current:
            self.move_to((place + 1) % len(self._members))

    def move_to(self, place: int) -> None:
        """Ask this member first from now on."""
        if place != self.current:
            self.current = place
            self._moved.set()
            self._moved = asyncio.Event()

    async def left(self, place: int) -> None:
        """Return as soon as another member than this one is the current one."""
        while self.current == place:
            await self._moved.wait()
