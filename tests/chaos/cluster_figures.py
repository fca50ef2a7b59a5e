"""What a history of a cluster under faults says in figures: how long nothing went, what took long.

The nemesis notes when a fault begins and ends: `start-fault` and `stop-fault`, with what, and on
whom, as value: {"number": 3, "kind": "kill brokers", "on": "b1 b2"}.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
    sends = [
        (key, operation.invocation.time / _NS, operation.completion.time / _NS)
        for operation in read_operations(history)
        if operation.type == "ok"
        for key in operation.sends
    ]
    keys = dict.fromkeys(key for key, _, _ in sends)
    found = []
    for begin_s in _calms(wrong):
        calm_until_s = min((each.begin_s for each in wrong if each.begin_s > begin_s), default=None)
        firsts = {key: _first(sends, key, begin_s) for key in keys}
        if None in firsts.values():
            continue
        end_s = max(first for first in firsts.values() if first is not None)
        if calm_until_s is None or end_s < calm_until_s:
            found.append(Period(begin_s, end_s, _names(wrong, begin_s, begin_s)))
    return found


def _calms(wrong: Sequence[Period]) -> Iterator[float]:
    """Yield the ends of faults at which no other was there."""
    for each in wrong:
        if not any(other.begin_s <= each.end_s < other.end_s for other in wrong):
            yield each.end_s


def _first(sends: Sequence[tuple[str, float, float]], key: str, begin_s: float) -> float | None:
    ends = [end_s for its, invoked_s, end_s in sends if its == key and invoked_s > begin_s]
    return min(ends, default=None)


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
