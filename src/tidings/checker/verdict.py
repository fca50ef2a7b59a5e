"""What the checker says about a history, and which of it is bad."""

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec

from tidings.types import Json

INSTANCES_MAX = 32
"""How many instances of each anomaly a verdict keeps; all are counted."""

_ALWAYS_ALLOWED: tuple[str, ...] = (
    "int-send-skip",
    "G0",
    "G0-process",
    "G0-realtime",
    "PL-1-cycle-exists",
    "strong-PL-1-cycle-exists",
)
"""Sends of concurrent transactions interleave in Kafka: that is its design, not a fault."""

_ALLOWED_WITH_SUBSCRIBE = ("poll-skip", "nonmonotonic-poll")
"""A rebalance between two polls may move a consumer's position."""

_ALLOWED_WITH_WW_DEPS = (
    "G1c",
    "G1c-process",
    "G1c-realtime",
    "PL-2-cycle-exists",
    "strong-PL-2-cycle-exists",
)
"""Where sends are not isolated, a cycle through the order of sends is normal."""


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that went wrong, with the events that prove it."""

    name: str
    """As Jepsen's kafka workload names it, or `phantom`."""
    sentence: str
    """What happened, in one line for a person."""
    event_indexes: list[int]
    """`Event.index` of the events that prove it, each once, in the order of the argument."""
    key: str | None = None
    """The key concerned; none for a cycle, which may pass through several."""
    offsets: list[int] = []
    """The offsets concerned, where they are known."""
    messages: list[Json] = []
    """The messages concerned."""


class Tally(msgspec.Struct, kw_only=True):
    """How the operations of one kind ended. One that never ended counts as info."""

    ok: int = 0
    fail: int = 0
    info: int = 0


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a poll was behind: it could have seen a record that was known for this long."""

    lag_s: float
    """Seconds since the highest record the process had seen ceased to be its key's last one."""
    key: str
    process: int
    time_s: float
    """When the poll began, in seconds since the start of the run."""
    event_index: int
    """`Event.index` of the poll's completion."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one history."""

    valid: bool
    """Whether nothing bad was found."""
    bad: list[str]
    """Names of the anomalies that make the history invalid, sorted."""
    anomalies: dict[str, list[Anomaly]]
    """All that was found, allowed or not, by name, sorted: the first `INSTANCES_MAX` of each."""
    anomaly_counts: dict[str, int]
    """How many instances of each there are."""
    tallies: dict[str, Tally]
    """How the clients' operations ended, by `f`."""
    worst_realtime_lag: Lag | None
    """The poll that was furthest behind; none if all were up to date. Never a fault by itself."""
    unplaced_event_indexes: list[int]
    """Operations that ended ok with a record that has no offset, or a negative one, the first
    `INSTANCES_MAX`: odd, but no anomaly. Such a record has no place in the log, so that neither its
    order nor a gap before it can be judged."""
    event_count: int
    """Length of the history."""


@dataclass(slots=True)
class Findings:
    """Collects anomalies, a bounded number of each kind."""

    anomalies: dict[str, list[Anomaly]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def admit(self, name: str) -> bool:
        """Count one instance; return whether it is to be described with `keep`."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name] <= INSTANCES_MAX

    def keep(self, anomaly: Anomaly) -> None:
        """Keep an instance that was admitted."""
        self.anomalies.setdefault(anomaly.name, []).append(anomaly)


def bad_names(names: Collection[str], *, sub_via: Collection[str], ww_deps: bool) -> list[str]:
    """Return those of the anomalies that are not allowed, sorted."""
    allowed = _ALWAYS_ALLOWED
    if "subscribe" in sub_via:
        allowed += _ALLOWED_WITH_SUBSCRIBE
    if ww_deps:
        allowed += _ALLOWED_WITH_WW_DEPS
    return sorted(name for name in names if name not in allowed)
