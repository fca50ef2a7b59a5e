"""Measures how far behind polls were in real time, conservatively.

An offset has ceased to be the last one of its key when anybody knows of a higher one. A poll that
BEGAN later and still leaves its process at that offset is behind by at least the time in between.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from tidings.checker.operations import UNKNOWN_OFFSET, Operation
from tidings.checker.verdict import Lag


@dataclass(slots=True)
class _Growth:
    """When one key's highest known offset rose: two parallel lists, both ascending."""

    offsets: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)

    def learn(self, offset: int, time_ns: int) -> None:
        if not self.offsets or offset > self.offsets[-1]:
            self.offsets.append(offset)
            self.times_ns.append(time_ns)

    def known_from(self, offset: int) -> float:
        """Return when this offset, or a higher one, was first known to exist."""
        at = bisect_left(self.offsets, offset)
        return self.times_ns[at] if at < len(self.times_ns) else inf


def worst_realtime_lag(operations: Sequence[Operation]) -> Lag | None:
    """Return the poll that was furthest behind, or None if none was behind."""
    return max(realtime_lags(operations), key=lambda lag: lag.lag_s, default=None)


def realtime_lags(operations: Sequence[Operation]) -> Iterator[Lag]:
    """Yield every poll that was behind, in the order of completion."""
    learned = [_learned_offsets(operation) for operation in operations]
    growths: dict[str, _Growth] = {}
    for operation, highest in zip(operations, learned, strict=True):
        for key, offset in highest.items():
            growths.setdefault(key, _Growth()).learn(offset, operation.completion.time)

    consumers: dict[int, _Consumer] = {}
    for operation, highest in zip(operations, learned, strict=True):
        if operation.type != "ok":
            continue
        consumer = consumers.setdefault(operation.process, _Consumer(growths))
        if operation.f == "assign":
            consumer.assign(operation.assigned)
        elif operation.f == "subscribe":
            consumer.assign({})
        elif operation.f in ("poll", "txn"):
            consumer.advance(highest)
            lag_ns = operation.invocation.time - consumer.behind_since()
            if lag_ns > 0:
                yield Lag(
                    lag_s=lag_ns / 1e9,
                    key=consumer.furthest_behind(),
                    process=operation.process,
                    time_s=operation.invocation.time / 1e9,
                    event_index=operation.completion.index,
                )


@dataclass(slots=True)
class _Consumer:
    """One process's position in each of its keys."""

    growths: dict[str, _Growth]
    positions: dict[str, int] = field(default_factory=dict)
    """The highest offset it has seen; of a key that it has only been assigned, -1."""
    expiries: dict[str, float] = field(default_factory=dict)
    """For each position, when it was first known not to be the last offset of its key."""

    def assign(self, keys: dict[str, None]) -> None:
        kept = {key: self.positions.get(key, UNKNOWN_OFFSET) for key in keys}
        self.positions = {}
        self.expiries = {}
        self.advance(kept)

    def advance(self, highest: dict[str, int]) -> None:
        for key, offset in highest.items():
            if key not in self.positions or offset > self.positions[key]:
                self.positions[key] = offset
                growth = self.growths.get(key)
                self.expiries[key] = growth.known_from(offset + 1) if growth else inf

    def behind_since(self) -> float:
        return min(self.expiries.values(), default=inf)

    def furthest_behind(self) -> str:
        return min(self.expiries, key=self.expiries.__getitem__)


def _learned_offsets(operation: Operation) -> dict[str, int]:
    """Return the highest offset that an operation learned of in each key."""
    highest: dict[str, int] = {}
    if operation.type == "fail":
        return highest
    for key, batch in operation.polls.items():
        highest[key] = batch.highest_offset()
    for key, batch in operation.sends.items():
        offset = batch.highest_offset()
        if offset != UNKNOWN_OFFSET:
            highest[key] = max(highest.get(key, UNKNOWN_OFFSET), offset)
    return highest
