"""Whether recorded calls on one register can have happened one after the other.

A register is a slot, a cell or a blob. Linearizability is local: a store is linearizable if each of
its registers is, so each is judged alone. The search is that of Wing and Gong ("Testing and
verifying concurrent objects", 1993), with a memory of the places it has been to (Lowe, 2017).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tidings.ports import Trimmed

STEPS_MAX = 200_000
"""How many places a search may visit; a race of the contract suites visits some hundreds."""

Value = bytes | Trimmed | None
"""What a register holds; None before it is first set."""

Transition = Callable[[Value], list[Value]]
"""What a call that was answered so makes of a value: one value, or none if it cannot be."""


def only_if(condition: Callable[[Value], bool]) -> Transition:
    """Return the transition of a call that changes nothing, and needs a value to be so."""
    return _OnlyIf(condition)


@dataclass(frozen=True, slots=True)
class _OnlyIf:
    condition: Callable[[Value], bool]

    def __call__(self, value: Value) -> list[Value]:
        return [value] if self.condition(value) else []


@dataclass(frozen=True, slots=True)
class Call:
    """One call on one register, with its answer.

    Moments are numbers that grow; no two events share one.
    """

    text: str
    """The call and its answer, for people."""
    transition: Transition
    began: int
    ended: int | None
    """None: no answer came. It takes effect at any moment after it began, or never."""

    def __str__(self) -> str:
        ended = "" if self.ended is None else self.ended
        return f"{self.began:>6} to {ended:<6} {self.text}"


def is_linearizable(calls: Sequence[Call]) -> bool:
    """Whether an order of the calls exists that explains every answer.

    Raises:
        RuntimeError: The search was given up: too many calls overlap.
    """
    answered = sum(1 << place for place, call in enumerate(calls) if call.ended is not None)
    places: list[tuple[int, Value]] = [(0, None)]
    seen: set[tuple[int, Value]] = set()
    while places:
        done, value = place = places.pop()
        if done & answered == answered:
            return True
        if place in seen:
            continue
        seen.add(place)
        if len(seen) > STEPS_MAX:
            raise RuntimeError(f"{len(calls)} calls overlap too much to be judged")
        places.extend(_next_places(calls, done, value))
    return False


def first_breach(calls: Sequence[Call]) -> list[Call]:
    """Return the calls up to the first answer that no order explains; none if there is none.

    A call that was answered later is shown as it was then: without an end.

    Raises:
        RuntimeError: The search was given up: too many calls overlap.
    """
    if is_linearizable(calls):
        return []
    for moment in sorted(call.ended for call in calls if call.ended is not None):
        begun = [_as_of(moment, call) for call in calls if call.began < moment]
        if not is_linearizable(begun):
            return sorted(begun, key=lambda call: call.began)
    raise AssertionError("the last answer ends the last prefix, which is the whole history")


def _as_of(moment: int, call: Call) -> Call:
    is_answered = call.ended is not None and call.ended <= moment
    return call if is_answered else replace(call, ended=None)


def _next_places(calls: Sequence[Call], done: int, value: Value) -> list[tuple[int, Value]]:
    """Return where one more call leads from a place: (calls that took effect, value)."""
    found = []
    for place, call in _next_calls(calls, done):
        for new_value in call.transition(value):
            if isinstance(call.transition, _OnlyIf) and call.ended is not None:
                # Without loss of generality: it stands in nobody's way. A call that only happens
                # to change nothing now may be what changes something later.
                return [(done | 1 << place, value)]
            # A call without an answer that changes nothing need not have happened.
            if new_value != value or call.ended is not None:
                found.append((done | 1 << place, new_value))
    return found


def _next_calls(calls: Sequence[Call], done: int) -> Iterator[tuple[int, Call]]:
    """Yield the calls that may come next: those that began before any other had ended."""
    left = [(place, call) for place, call in enumerate(calls) if not done >> place & 1]
    first_end = min(call.ended for _, call in left if call.ended is not None)
    return ((place, call) for place, call in left if call.began < first_end)
