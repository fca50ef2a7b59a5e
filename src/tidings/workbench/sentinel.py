"""Looks for anomalies while a run goes on: what can be told already, event by event.

It finds what the checker finds at the end under the same names, and not more; messages that nobody
polls can only be told when all is over. Its cost is that of a few dictionary look-ups a record.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final

from tidings.checker.history import Event
from tidings.types import Json

GAPS_MAX: Final = 1000
"""How many steps over unknown offsets are remembered of one key."""


@dataclass(slots=True)
class _Key:
    """What is known of one key's log."""

    message_at: dict[int, Json] = field(default_factory=dict)
    offset_of: dict[Json, int] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    """Those of `message_at`, ascending."""
    failed: dict[Json, None] = field(default_factory=dict)
    """Messages whose send certainly did not happen, it was said."""
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    """Steps of polls over offsets that nobody knew of: from, to, and the anomaly if one appears."""


class Sentinel:
    """Counts anomalies by name in `counts`."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._keys: dict[str, _Key] = {}
        # The last offset that each process polled of each key it is still assigned.
        self._positions: dict[int | str, dict[str, int]] = {}

    def observe(self, event: Event) -> None:
        """Take the next event of the history."""
        if event.process == "nemesis" or event.type == "invoke":
            return
        match event.f:
            case "send":
                self._observe_send(event)
            case "poll" if event.type == "ok":
                self._observe_poll(event)
            case "assign" if event.type != "fail":
                kept = self._positions.get(event.process, {})
                self._positions[event.process] = {k: kept[k] for k in event.value if k in kept}
            case _:
                if event.type == "info":
                    self._positions.pop(event.process, None)

    def _observe_send(self, event: Event) -> None:
        [[_, name, payload]] = event.value
        key = self._keys.setdefault(name, _Key())
        if event.type == "ok":
            self._learn(key, *payload)
        elif event.type == "fail":
            key.failed[payload] = None

    def _observe_poll(self, event: Event) -> None:
        [[_, records]] = event.value
        positions = self._positions.setdefault(event.process, {})
        for name, pairs in records.items():
            if not pairs:
                positions.pop(name, None)
                continue
            key = self._keys.setdefault(name, _Key())
            before = positions.get(name)
            kind = ""
            for offset, message in pairs:
                self._learn(key, offset, message)
                if message in key.failed:
                    self._count("G1a")
                if before is not None:
                    self._step(key, before, offset, kind)
                before, kind = offset, "int-"
            positions[name] = pairs[-1][0]

    def _learn(self, key: _Key, offset: int, message: Json) -> None:
        known = key.message_at.get(offset)
        if known is None:
            key.message_at[offset] = message
            insort(key.offsets, offset)
            if key.gaps:
                self._fill_gaps(key, offset)
        elif known != message:
            self._count("inconsistent-offsets")
        if key.offset_of.setdefault(message, offset) != offset:
            self._count("duplicate")

    def _fill_gaps(self, key: _Key, offset: int) -> None:
        """Find the polls that stepped over an offset which turns out to hold a record."""
        still_open = []
        for gap in key.gaps:
            low, high, name = gap
            if low < offset < high:
                self._count(name)
            else:
                still_open.append(gap)
        key.gaps = still_open

    def _step(self, key: _Key, earlier: int, later: int, kind: str) -> None:
        if later == earlier + 1:
            return
        if later <= earlier:
            self._count(f"{kind}nonmonotonic-poll")
            return
        place = bisect_left(key.offsets, earlier + 1)
        if place < len(key.offsets) and key.offsets[place] < later:
            self._count(f"{kind}poll-skip")
        elif len(key.gaps) < GAPS_MAX:
            key.gaps.append((earlier, later, f"{kind}poll-skip"))

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
