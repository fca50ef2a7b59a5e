"""What becomes of each message and each call: when it arrives, and whether anybody hears of it."""

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from tidings.testing.plan import HEALED_LATENCY_S, Plan
from tidings.testing.trace import Trace

LATE_S_MAX: Final = 5.0
"""How long after its caller gave up a call may still take effect."""

FAILING_CALL: Final = "failing call"
"""What a trace calls a call that failed because it was that one's turn."""

SLOW_FACTOR: Final = 10.0


class Fate(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one call to a store."""

    delay_s: float | None
    """When it takes effect; None if it never does."""
    is_answered: bool
    crash: str | None
    """The fault by which its node dies at that moment, if it does."""


class Weather:
    """Draws delays and fates until the faults heal, and counts what it did."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self._trace = trace
        self._chances = dict(plan.chances)
        self._kind = plan.latency
        self._mean_s = plan.latency_s
        self.call_timeout_s = plan.call_timeout_s
        self._calls = Random(f"{plan.seed}/calls")
        self._messages = Random(f"{plan.seed}/messages")
        self.is_slow = False
        self._failing = plan.failing_call
        self._takes_effect = plan.failing_call is not None and plan.failing_call.takes_effect
        self._call_count = 0
        # When the last arrives of all messages and calls that are under way.
        self.calm_s = 0.0

    def heal(self) -> None:
        """Let nothing happen any more but short delays."""
        self._chances.clear()
        self._failing = None
        self._mean_s = min(self._mean_s, HEALED_LATENCY_S)
        self.is_slow = False

    def note_arrival(self, at_s: float) -> None:
        """Note that a message or a call is on its way until some time."""
        self.calm_s = max(self.calm_s, at_s)

    def _strikes(self, rng: Random, what: str) -> bool:
        chance = self._chances.get(what)
        if chance is None or rng.random() >= chance:
            return False
        self._trace.counts[what] += 1
        return True

    def _fails(self) -> bool:
        """Count a call; say whether it is one that the plan lets fail."""
        self._call_count += 1
        failing = self._failing
        if failing is None or self._call_count < failing.number:
            return False
        if self._call_count > failing.number and not failing.is_for_good:
            return False
        self._trace.count(FAILING_CALL)
        return True

    def _delay_s(self, rng: Random) -> float:
        match self._kind:
            case "constant":
                return self._mean_s
            case "uniform":
                return rng.uniform(0, 2 * self._mean_s)
            case "exponential":
                return rng.expovariate(1 / self._mean_s)
            case _:
                return 0.0

    def message_delays_s(self) -> list[float]:
        """Return when a message between nodes arrives: never, once or twice."""
        rng = self._messages
        if self._failing is not None and self._fails() and not self._takes_effect:
            return []
        if not self._chances:
            return [self._delay_s(rng)]
        delays_s: list[float] = []
        for _ in range(1 + self._strikes(rng, "message-doubled")):
            if not self._strikes(rng, "message-lost"):
                slow_s = rng.uniform(0, 1) if self._strikes(rng, "message-slow") else 0.0
                delays_s.append(self._delay_s(rng) + slow_s)
        return delays_s

    def answer_delay_s(self) -> float:
        """Return how long a store's answer is under way."""
        return self._delay_s(self._calls)

    def fate(self, kind: str) -> Fate:
        """Return what becomes of an "append" or of another "call"."""
        rng = self._calls
        delay_s = self._delay_s(rng)
        if self._failing is not None and self._fails():
            return Fate(delay_s if self._takes_effect else None, is_answered=False, crash=None)
        if not self._chances:
            return Fate(delay_s, is_answered=True, crash=None)
        if self.is_slow:
            delay_s = SLOW_FACTOR * (delay_s + 0.01)
        if self._strikes(rng, "crash-before-call"):
            return Fate(None, is_answered=False, crash="crash-before-call")
        if self._strikes(rng, "crash-after-call"):
            return Fate(delay_s, is_answered=False, crash="crash-after-call")
        if self._strikes(rng, "call-slow"):
            delay_s += rng.uniform(0, 1)
        if self._strikes(rng, f"{kind}-dropped"):
            return Fate(None, is_answered=False, crash=None)
        if self._strikes(rng, f"{kind}-late"):
            late_s = self.call_timeout_s + rng.uniform(0, LATE_S_MAX)
            return Fate(late_s, is_answered=False, crash=None)
        is_answered = not self._strikes(rng, f"{kind}-unanswered")
        return Fate(delay_s, is_answered, crash=None)


class Gate:
    """What a paused node says, and what it would hear, waits here in order."""

    def __init__(self) -> None:
        self.is_shut = False
        self._held: list[Callable[[], None]] = []

    def pass_through(self, action: Callable[[], None]) -> None:
        """Do `action`, now or when the gate opens."""
        if self.is_shut:
            self._held.append(action)
        else:
            action()

    def open(self) -> None:
        """Do all that was held back."""
        self.is_shut = False
        held, self._held = self._held, []
        for action in held:
            action()
