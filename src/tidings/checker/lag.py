"""Measures how far behind polls were in real time, conservatively.

An offset has ceased to be the last one of its key when anybody knows of a higher one. A poll that
BEGAN later and still leaves its process at that offset is behind by at least the time in between.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from tidings.checker.operations import Operation
from tidings.checker.verdict import Lag

_BEFORE_ALL = -1


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
    growths: dict[str, _Growth] = {}
    for operation in operations:
        for key, offset in _highest_offsets(operation).items():
            growths.setdefault(key, _Growth()).learn(offset, operation.completion.time)

    worst: Lag | None = None
    worst_ns = 0.0
    positions: dict[int, dict[str, int]] = {}
    # By process and key, when the offset after its position was first known.
    expiries: dict[int, dict[str, float]] = {}
    never = _Growth()
    for operation in operations:
        if operation.type != "ok":
            continue
        process = operation.process
        position = positions.setdefault(process, {})
        expiry = expiries.setdefault(process, {})
        if operation.f in ("assign", "subscribe"):
            kept = operation.assigned if operation.f == "assign" else {}
            position = {key: position.get(key, _BEFORE_ALL) for key in kept}
            positions[process] = position
            expiries[process] = {
                key: growths.get(key, never).known_from(offset + 1)
                for key, offset in position.items()
            }
        elif operation.f in ("poll", "txn"):
            for key, offset in _highest_offsets(operation).items():
                if offset > position.get(key, _BEFORE_ALL - 1):
                    position[key] = offset
                    expiry[key] = growths.get(key, never).known_from(offset + 1)
            lag_ns = operation.invocation.time - min(expiry.values(), default=inf)
            if lag_ns > worst_ns:
                worst_ns = lag_ns
                worst = Lag(
                    lag_s=lag_ns / 1e9,
                    key=min(expiry, key=expiry.__getitem__),
                    process=process,
                    time_s=operation.invocation.time / 1e9,
                    event_index=operation.completion.index,
                )
    return worst


def _highest_offsets(operation: Operation) -> dict[str, int]:
    """Return the highest offset that an operation learned of in each key; -1 for none."""
    highest: dict[str, int] = {}
    if operation.type == "fail":
        return highest
    for key, batch in operation.polls.items():
        highest[key] = max((o for o in batch.offsets if o is not None), default=_BEFORE_ALL)
    for key, batch in operation.sends.items():
        sent = max((o for o in batch.offsets if o is not None), default=None)
        if sent is not None:
            highest[key] = max(highest.get(key, _BEFORE_ALL), sent)
    return highest
