"""How a run is going, from the events so far: what a spectator shows."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from tidings.checker.history import Event
from tidings.types import Json
from tidings.workbench.figures import QUANTILES, quantiles
from tidings.workbench.network import Traffic
from tidings.workbench.sentinel import Sentinel
from tidings.workbench.settings import Settings

WINDOW_S: Final = 5.0
"""What "now" means for rates and latencies."""

WINDOW_OPERATIONS_MAX: Final = 20_000
"""Of how many operations latencies are kept; beyond, "now" is shorter."""

_BEGINNINGS: Final = {"kill": "kill", "pause": "pause"}
_ENDS: Final = {"start": "kill", "resume": "pause"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    time_s: float
    operations: int
    tallies: dict[str, dict[str, int]]
    """By kind of operation, how many ended ok, fail and info."""
    rate: float
    """Operations a second that ended within the window."""
    latencies_ms: dict[str, float]
    """Quantiles of those that ended ok within the window."""
    messages_per_operation: float
    faults: dict[str, str]
    """What is wrong at this moment, and how."""
    anomalies: dict[str, int]


class Progress:
    """Takes events as they happen and sums them up."""

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self.settings = settings
        self._traffic = traffic
        self._sentinel = Sentinel()
        self._operations = 0
        self._tallies: dict[str, dict[str, int]] = {}
        self._running: dict[int | str, int] = {}
        # Of the operations that ended lately: when, and how long it took if it was ok.
        self._recent: deque[tuple[int, float | None]] = deque(maxlen=WINDOW_OPERATIONS_MAX)
        self._faults: dict[str, str] = {}

    def observe(self, event: Event) -> None:
        """Take the next event."""
        if event.process == "nemesis":
            self._observe_nemesis(event)
        elif event.type == "invoke":
            self._operations += 1
            self._running[event.process] = event.time
        else:
            self._observe_end(event)
            self._sentinel.observe(event)

    def at(self, time_s: float) -> Snapshot:
        """Sum up what happened until `time_s`."""
        begin_ns = (time_s - WINDOW_S) * 1e9
        while self._recent and self._recent[0][0] < begin_ns:
            self._recent.popleft()
        durations_ms = [ms for _, ms in self._recent if ms is not None]
        return Snapshot(
            time_s=time_s,
            operations=self._operations,
            tallies=self._tallies,
            rate=len(self._recent) / max(0.1, min(time_s, WINDOW_S)),
            latencies_ms=quantiles(durations_ms),
            messages_per_operation=self._traffic.servers / max(1, self._operations),
            faults=dict(self._faults),
            anomalies=dict(self._sentinel.counts),
        )

    def _observe_end(self, event: Event) -> None:
        tally = self._tallies.setdefault(event.f, {"ok": 0, "fail": 0, "info": 0})
        tally[event.type] += 1
        began = self._running.pop(event.process, event.time)
        duration_ms = (event.time - began) / 1e6 if event.type == "ok" else None
        self._recent.append((event.time, duration_ms))

    def _observe_nemesis(self, event: Event) -> None:
        if event.f in _BEGINNINGS:
            self._faults[_BEGINNINGS[event.f]] = tell_target(event.value)
        elif event.f.startswith("start-"):
            self._faults[event.f.removeprefix("start-")] = tell_target(event.value)
        else:
            self._faults.pop(_ENDS.get(event.f, event.f.removeprefix("stop-")), None)


def tell_target(value: Json) -> str:
    """Return in words to whom, or how much, the nemesis did something."""
    match value:
        case dict():
            return "; ".join(
                f"{receiver} hears no {' '.join(senders)}"
                for receiver, senders in value.items()
                if senders
            )
        case list():
            return " ".join(str(name) for name in value) or "nobody"
        case None:
            return ""
        case _:
            return f"{value:g}"


def status_line(snapshot: Snapshot) -> str:
    """Return one plain line for a terminal that is none."""
    latencies = "  ".join(
        f"{name} {snapshot.latencies_ms[name]:.1f} ms"
        for name in QUANTILES
        if name in snapshot.latencies_ms
    )
    anomalies = ", ".join(f"{count} {name}" for name, count in snapshot.anomalies.items())
    return (
        f"{snapshot.time_s:6.1f} s  {snapshot.rate:.0f} operations/s  {latencies}  "
        f"{snapshot.messages_per_operation:.2f} messages/operation  "
        f"faults: {', '.join(snapshot.faults) or 'none'}  anomalies: {anomalies or 'none'}"
    )
