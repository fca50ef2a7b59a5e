"""What changed over time, in a bounded number of bins."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10
from typing import Final

from tidings.checker.lag import realtime_lags
from tidings.checker.operations import Operation
from tidings.workbench.figures import quantiles

BINS_MAX: Final = 160
"""Into how many bins the time of a run is cut, at most."""

LATENCY_ROWS: Final = 36
LATENCY_MIN_MS: Final = 0.1
LATENCY_DECADES: Final = 5
"""Latencies are drawn from 0.1 ms to 10 s."""

_WIDTHS_S: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal parts of a run's time."""

    width_s: float
    count: int

    @property
    def end_s(self) -> float:
        """Where the last one ends."""
        return self.width_s * self.count

    def place(self, time_ns: float) -> int:
        """Return the bin of a time; one before the start belongs to the first."""
        return min(self.count - 1, max(0, int(time_ns / 1e9 / self.width_s)))

    def middles_s(self) -> list[float]:
        """Return the time in the middle of each."""
        return [(place + 0.5) * self.width_s for place in range(self.count)]

    def zeros(self) -> list[float]:
        """Return a 0 for each."""
        return [0.0] * self.count


def cut(duration_s: float) -> Bins:
    """Return bins of a round width that cover the time."""
    width_s = next((w for w in _WIDTHS_S if duration_s / w <= BINS_MAX), duration_s / BINS_MAX)
    return Bins(width_s, int(duration_s / width_s) + 1)


def rates(operations: Iterable[Operation], bins: Bins) -> dict[str, list[float]]:
    """Return how many operations a second ended ok, by kind, and under "not ok" all others.

    Crashes are no requests and do not count.
    """
    found: dict[str, list[float]] = {}
    for operation in operations:
        if operation.f == "crash":
            continue
        name = operation.f if operation.type == "ok" else "not ok"
        counts = found.setdefault(name, bins.zeros())
        counts[bins.place(operation.completion.time)] += 1 / bins.width_s
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long operations took that ended ok."""

    p50_ms: dict[str, list[float | None]]
    """By kind and bin; None where nothing ended."""
    p99_ms: list[float | None]
    """Of all kinds together."""
    heat: list[list[int]]
    """How many there were, by bin and by row of `latency_row`."""
    not_ok: list[int]
    """How many ended otherwise."""


def latency_row(latency_ms: float) -> int:
    """Return the row of a latency: from 0 for the shortest to `LATENCY_ROWS` - 1."""
    part = log10(max(latency_ms, LATENCY_MIN_MS) / LATENCY_MIN_MS) / LATENCY_DECADES
    return min(LATENCY_ROWS - 1, int(part * LATENCY_ROWS))


def latencies(operations: Iterable[Operation], bins: Bins) -> Latencies:
    """Return the latencies by the time at which operations ended."""
    by_kind: dict[str, list[list[float]]] = {}
    heat = [[0] * LATENCY_ROWS for _ in range(bins.count)]
    not_ok = [0] * bins.count
    for operation in operations:
        if operation.f == "crash":
            continue
        place = bins.place(operation.completion.time)
        if operation.type != "ok":
            not_ok[place] += 1
            continue
        took_ms = (operation.completion.time - operation.invocation.time) / 1e6
        kind = by_kind.setdefault(operation.f, [[] for _ in range(bins.count)])
        kind[place].append(took_ms)
        heat[place][latency_row(took_ms)] += 1
    everything = [
        [ms for kind in by_kind.values() for ms in kind[place]] for place in range(bins.count)
    ]
    return Latencies(
        p50_ms={
            name: [_quantile(ms, "p50") for ms in kind] for name, kind in sorted(by_kind.items())
        },
        p99_ms=[_quantile(ms, "p99") for ms in everything],
        heat=heat,
        not_ok=not_ok,
    )


def _quantile(values: Sequence[float], name: str) -> float | None:
    return quantiles(values).get(name)


def worst_lags(operations: Sequence[Operation], bins: Bins) -> list[float]:
    """Return the lag of the poll that was furthest behind, for each bin; 0 where none was."""
    worst = bins.zeros()
    for lag in realtime_lags(operations):
        place = bins.place(lag.time_s * 1e9)
        worst[place] = max(worst[place], lag.lag_s)
    return worst
