"""The numbers of a run, read off its history and its traffic."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final

import msgspec

from tidings.checker.history import Event
from tidings.workbench.network import Traffic

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_ERRORS_MAX: Final = 5


class KindFigures(msgspec.Struct, kw_only=True):
    """How the operations of one kind went."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    latencies_ms: dict[str, float] = {}
    """Quantiles of the time from the invocation to an ok; empty when there was none."""

    @property
    def availability(self) -> float:
        """The part of the operations that ended ok, from 0 to 1."""
        return self.ok / max(1, self.ok + self.fail + self.info)


class Figures(msgspec.Struct, kw_only=True):
    """The numbers of one history."""

    operations: int
    """How many operations clients invoked, of every kind."""
    kinds: dict[str, KindFigures]
    """By `f`, the most frequent first."""
    errors: dict[str, int]
    """The most frequent reasons why operations failed or are unknown, and how often."""


class MessageFigures(msgspec.Struct, kw_only=True):
    """How many messages were sent."""

    total: int
    clients: int
    servers: int
    lost: int
    by_peer: dict[str, int]
    """Those of the servers: between nodes, and to and from each service."""
    per_operation: float
    """Messages that involve no client, per operation invoked, as Maelstrom counts them."""
    per_operation_by_peer: dict[str, float]


def measure(history: Iterable[Event]) -> Figures:
    """Return the figures of the clients' operations; one without an end counts as info."""
    kinds: dict[str, KindFigures] = {}
    errors: dict[str, int] = {}
    durations_ms: dict[str, list[float]] = {}
    running: dict[int | str, Event] = {}
    for event in history:
        if event.process == "nemesis":
            continue
        if event.type == "invoke":
            running[event.process] = event
            continue
        kind = kinds.setdefault(event.f, KindFigures())
        setattr(kind, event.type, getattr(kind, event.type) + 1)
        began = running.pop(event.process, event)
        if event.type == "ok":
            durations_ms.setdefault(event.f, []).append((event.time - began.time) / 1e6)
        if event.error is not None:
            errors[str(event.error)] = errors.get(str(event.error), 0) + 1
    for unfinished in running.values():
        kinds.setdefault(unfinished.f, KindFigures()).info += 1
    for f, durations in durations_ms.items():
        kinds[f].latencies_ms = quantiles(durations)
    return Figures(
        operations=sum(map(_count, kinds.values())),
        kinds=dict(sorted(kinds.items(), key=lambda item: -_count(item[1]))),
        errors=dict(sorted(errors.items(), key=lambda item: -item[1])[:_ERRORS_MAX]),
    )


def measure_messages(traffic: Traffic, operations: int) -> MessageFigures:
    """Return the figures of the messages, in relation to the number of operations."""
    divisor = max(1, operations)
    return MessageFigures(
        total=traffic.total,
        clients=traffic.clients,
        servers=traffic.servers,
        lost=traffic.lost,
        by_peer=dict(traffic.by_peer),
        per_operation=traffic.servers / divisor,
        per_operation_by_peer={peer: n / divisor for peer, n in traffic.by_peer.items()},
    )


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return the smallest value that is at least as great as that part of all `values`."""
    ordered = sorted(values)
    return {
        name: ordered[ceil(part * len(ordered)) - 1] for name, part in QUANTILES.items() if ordered
    }


def _count(kind: KindFigures) -> int:
    return kind.ok + kind.fail + kind.info
