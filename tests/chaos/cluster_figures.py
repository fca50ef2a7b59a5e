"""What a history of a cluster under faults says in figures: how long nothing went, what took long.

The nemesis notes when a fault begins and ends: `start-fault` and `stop-fault`, with what, and on
whom, as value: {"number": 3, "kind": "kill brokers", "on": "b1 b2"}.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from statistics import median

from chaos_history import NEMESIS

from tidings.checker.history import Event
from tidings.checker.operations import read_operations

START, STOP = "start-fault", "stop-fault"

SILENCE_S = 1.0
"""A shorter time without an acknowledged send is no window."""

SHOWN = 5
"""Of the longest of a kind, how many are said."""

_NS = 1e9


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when something was so, in seconds since the run began."""

    begin_s: float
    end_s: float
    what: str

    @property
    def length_s(self) -> float:
        """How long it was."""
        return self.end_s - self.begin_s

    def overlaps(self, begin_s: float, end_s: float) -> bool:
        """Whether it has a moment in common with another time."""
        return self.begin_s <= end_s and begin_s <= self.end_s


def faults(history: Sequence[Event]) -> list[Period]:
    """Return when there were faults, with their kind; the history's end ends them all."""
    starts: dict[int, Event] = {}
    found = []
    for event in history:
        if event.process == NEMESIS and event.f == START:
            starts[event.value["number"]] = event
        elif event.process == NEMESIS and event.f == STOP:
            start = starts.pop(event.value["number"])
            found.append(Period(start.time / _NS, event.time / _NS, start.value["kind"]))
    found += [
        Period(start.time / _NS, history[-1].time / _NS, start.value["kind"])
        for start in starts.values()
    ]
    return sorted(found, key=lambda period: period.begin_s)


def silences(history: Sequence[Event]) -> list[Period]:
    """Return when no send was acknowledged, to anybody, with the faults of that time."""
    wrong = faults(history)
    times_s = [event.time / _NS for event in history if event.f == "send" and event.type == "ok"]
    return [
        Period(begin_s, end_s, _names(wrong, begin_s, end_s))
        for begin_s, end_s in pairwise(times_s)
        if end_s - begin_s > SILENCE_S
    ]


def recoveries(history: Sequence[Event]) -> list[Period]:
    """Return, for each moment when nothing was wrong any more, until when all worked again.

    That is when each key has taken a send which was begun after that moment. Moments after which a
    new fault came before that are left out.
    """
    wrong = faults(history)
    sends = _sends(history)
    found = []
    for begin_s in _calms(wrong):
        calm_until_s = min((each.begin_s for each in wrong if each.begin_s > begin_s), default=inf)
        end_s = max((_first_end(its, begin_s) for its in sends.values()), default=inf)
        if end_s < calm_until_s:
            found.append(Period(begin_s, end_s, _names(wrong, begin_s, begin_s)))
    return found


_Sends = tuple[list[float], list[float]]
"""When sends began, in order; and for each when the first ended of those that began no earlier."""


def _sends(history: Sequence[Event]) -> dict[str, _Sends]:
    """Return the acknowledged sends to each key."""
    times: dict[str, list[tuple[float, float]]] = {}
    for operation in read_operations(history):
        if operation.type == "ok":
            time_s = operation.invocation.time / _NS, operation.completion.time / _NS
            for key in operation.sends:
                times.setdefault(key, []).append(time_s)
    return {key: _in_order(its) for key, its in times.items()}


def _in_order(times: list[tuple[float, float]]) -> _Sends:
    ascending = sorted(times)
    ends_s = [end_s for _, end_s in ascending]
    return [begin_s for begin_s, _ in ascending], list(accumulate(reversed(ends_s), min))[::-1]


def _first_end(sends: _Sends, after_s: float) -> float:
    begins_s, first_ends_s = sends
    place = bisect_right(begins_s, after_s)
    return first_ends_s[place] if place < len(begins_s) else inf


def _calms(wrong: Sequence[Period]) -> Iterator[float]:
    """Yield the ends of faults at which no other was there."""
    for each in wrong:
        if not any(other.begin_s <= each.end_s < other.end_s for other in wrong):
            yield each.end_s


def _names(wrong: Sequence[Period], begin_s: float, end_s: float) -> str:
    names = dict.fromkeys(each.what for each in wrong if each.overlaps(begin_s, end_s))
    return ", ".join(names) or "no fault"


def lines(history: Sequence[Event]) -> Iterator[str]:
    """Say it: faults by kind, how long nothing went, how long recovering took."""
    wrong = faults(history)
    counts = Counter(each.what for each in wrong)
    yield f"faults      {len(wrong):9,}"
    for kind, count in sorted(counts.items()):
        yield f"            {count:9,}  {kind}"
    quiet = silences(history)
    total_s = sum(period.length_s for period in quiet)
    count = len(quiet)
    yield f"silences    {count:9,}  over {SILENCE_S:g} s without a send, {total_s:.1f} s in all"
    yield from _longest(quiet)
    found = recoveries(history)
    if found:
        usual_s = median(period.length_s for period in found)
        yield f"recoveries  {len(found):9,}  until all take sends, median {usual_s:.1f} s"
        yield from _longest(found)


def _longest(periods: Sequence[Period]) -> Iterator[str]:
    for period in sorted(periods, key=lambda period: -period.length_s)[:SHOWN]:
        yield f"            {period.length_s:7.1f} s  at {period.begin_s:.0f} s: {period.what}"
