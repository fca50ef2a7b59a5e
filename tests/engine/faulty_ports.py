"""Stores and a network that misbehave as the ports allow, on virtual time and from a seed.

What a store does to itself happens in the loop, not in the caller's task: a call whose caller gave
up, or whose node died, may still take effect later.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import AppendOutcome, Trimmed, Unsettled
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.types import Slot

T = TypeVar("T")

STORE_TIMEOUT_S = 1.0

LATE_S_MAX = 5.0
"""How long after its caller gave up a call may still take effect."""


@dataclass(kw_only=True)
class Chances:
    """How likely each kind of trouble is; all of it ends when the world heals."""

    latency_s: float = 0.001
    """Mean one-way latency of messages, of store requests and of their replies."""
    is_constant: bool = False
    request_lost: float = 0.0
    """A store call that does not happen, or happens after its caller gave up."""
    reply_lost: float = 0.0
    message_lost: float = 0.0
    message_doubled: float = 0.0

    def heal(self) -> None:
        """Keep only the latency."""
        self.request_lost = self.reply_lost = self.message_lost = self.message_doubled = 0.0


class Weather:
    """Draws latencies and fates, and counts what happened."""

    def __init__(self, seed: object, chances: Chances) -> None:
        self.rng = Random(f"{seed}/weather")
        self.chances = chances
        self.happened: Counter[str] = Counter()

    def latency_s(self) -> float:
        mean = self.chances.latency_s
        return mean if self.chances.is_constant or mean == 0 else self.rng.expovariate(1 / mean)

    def strikes(self, chance: float, what: str) -> bool:
        struck = chance > 0 and self.rng.random() < chance
        self.happened[what] += struck
        return struck


class Gate:
    """What a paused node sends, and what it would hear, waits here in order."""

    def __init__(self) -> None:
        self.is_shut = False
        self._held: list[Callable[[], None]] = []

    def pass_through(self, action: Callable[[], None]) -> None:
        if self.is_shut:
            self._held.append(action)
        else:
            action()

    def open(self) -> None:
        self.is_shut = False
        held, self._held = self._held, []
        for action in held:
            action()


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a store in memory never waits")


class Lost(Exception):
    """No answer came in time."""


class FaultyLink:
    """One node's way to the stores."""

    def __init__(self, weather: Weather, gate: Gate) -> None:
        self._weather = weather
        self._gate = gate

    async def ask(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Carry a call to its store and the answer back; raise `Lost` if none comes in time."""
        loop = asyncio.get_running_loop()
        chances, weather = self._weather.chances, self._weather
        answer: asyncio.Future[T] = loop.create_future()
        delay_s = weather.latency_s()
        is_answered = True
        if weather.strikes(chances.request_lost, "request lost"):
            is_answered = False
            if weather.strikes(0.5, "late call"):
                delay_s = STORE_TIMEOUT_S + weather.rng.uniform(0, LATE_S_MAX)
            else:
                delay_s = -1.0
        elif weather.strikes(chances.reply_lost, "reply lost"):
            is_answered = False

        def carry_out() -> None:
            result = at_once(call())
            if is_answered:
                loop.call_later(weather.latency_s(), self._gate.pass_through, lambda: tell(result))

        def tell(result: T) -> None:
            if not answer.done():
                answer.set_result(result)

        if delay_s >= 0:
            self._gate.pass_through(lambda: unheld(loop.call_later(delay_s, carry_out)))
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise Lost from None


def unheld(handle: asyncio.TimerHandle) -> None:
    """Let a timer go: nobody cancels it."""
    del handle


class FaultyOrderStore:
    """The order store as one node reaches it."""

    def __init__(self, inner: MemoryOrderStore, link: FaultyLink) -> None:
        self._inner = inner
        self._link = link
        self.entry_bytes_max = inner.entry_bytes_max
        self.inline_bytes_max = inner.inline_bytes_max
        self.can_trim = inner.can_trim

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        try:
            return await self._link.ask(lambda: self._inner.append(slot, entry))
        except Lost:
            return Unsettled("no answer")

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        try:
            return await self._link.ask(lambda: self._inner.read(start, count_max))
        except Lost:
            raise Unavailable("no answer") from None

    async def trim(self, below: Slot) -> None:
        try:
            await self._link.ask(lambda: self._inner.trim(below))
        except Lost:
            raise Unavailable("no answer") from None

    async def read_cell(self, name: str) -> bytes | None:
        try:
            return await self._link.ask(lambda: self._inner.read_cell(name))
        except Lost:
            raise Unavailable("no answer") from None

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        try:
            return await self._link.ask(lambda: self._inner.swap_cell(name, old, new))
        except Lost:
            raise Indeterminate("no answer") from None


class FaultyBlobStore:
    """The blob store as one node reaches it."""

    def __init__(self, inner: MemoryBlobStore, link: FaultyLink) -> None:
        self._inner = inner
        self._link = link

    async def put(self, name: str, data: bytes) -> None:
        try:
            await self._link.ask(lambda: self._inner.put(name, data))
        except Lost:
            raise Unavailable("no answer") from None

    async def get(self, name: str) -> bytes | None:
        try:
            return await self._link.ask(lambda: self._inner.get(name))
        except Lost:
            raise Unavailable("no answer") from None
