"""The judgement of a run in plain lines."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tidings.checker.history import Event
from tidings.checker.verdict import Anomaly, Verdict
from tidings.types import Json
from tidings.workbench.figures import QUANTILES, Figures, MessageFigures

INSTANCES_SHOWN: Final = 3
EVENTS_SHOWN: Final = 8
PAIRS_SHOWN: Final = 8
VALUE_CHARS: Final = 160


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """Say whether the run is valid, and if not, why."""
    found = reasons(verdict)
    yield f"INVALID: {', '.join(found)}" if found else "VALID"


def reasons(verdict: Verdict) -> list[str]:
    """Return why a run is not valid; nothing if it is."""
    return [
        *(f"{verdict.anomaly_counts[name]} {name}" for name in verdict.bad),
        *(f"no {kind} succeeded" for kind in never_ok(verdict)),
    ]


def never_ok(verdict: Verdict) -> list[str]:
    """Return the kinds of operations that were tried and never succeeded.

    A log that answers nothing has no anomalies. Maelstrom calls such a run invalid as well.
    """
    return [kind for kind, tally in verdict.tallies.items() if kind != "crash" and tally.ok == 0]


def anomaly_lines(verdict: Verdict, history: Sequence[Event]) -> Iterator[str]:
    """Show some instances of each anomaly with the operations that prove them."""
    for name, instances in verdict.anomalies.items():
        count = verdict.anomaly_counts[name]
        yield ""
        yield f"{name}: {count} found{'' if name in verdict.bad else ', which is allowed'}"
        for instance in instances[:INSTANCES_SHOWN]:
            yield f"  {instance.sentence}"
            yield from _event_lines(instance, history)
        if count > INSTANCES_SHOWN:
            yield f"  … and {count - INSTANCES_SHOWN} more"


def _event_lines(anomaly: Anomaly, history: Sequence[Event]) -> Iterator[str]:
    for index in anomaly.event_indexes[:EVENTS_SHOWN]:
        event = history[index]
        yield (
            f"    {event.index:>7}  {event.time / 1e9:9.3f} s  process {event.process!s:<5} "
            f"{event.type:<6} {event.f:<6} {_show(event.value, anomaly)}"
        )
    if len(anomaly.event_indexes) > EVENTS_SHOWN:
        yield f"    … and {len(anomaly.event_indexes) - EVENTS_SHOWN} more operations"


def _show(value: Json, anomaly: Anomaly) -> str:
    """Return the part of an operation's value that matters to `anomaly`."""
    if isinstance(value, list):
        value = [_relevant(part, anomaly) for part in value]
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "…"


def _relevant(part: Json, anomaly: Anomaly) -> Json:
    match part:
        case ["poll", dict(records)] if anomaly.key is not None:
            return ["poll", {anomaly.key: _near(records.get(anomaly.key, []), anomaly)}]
        case _:
            return part


def _near(pairs: Sequence[Json], anomaly: Anomaly) -> Json:
    """Return the (offset, message) pairs around the place that `anomaly` is about."""
    lowest = min(anomaly.offsets, default=0)
    place = next((i for i, (offset, _) in enumerate(pairs) if offset >= lowest), 0)
    start = max(0, place - PAIRS_SHOWN // 2)
    shown = list(pairs[start : start + PAIRS_SHOWN])
    before = ["…"] if start else []
    after = ["…"] if start + PAIRS_SHOWN < len(pairs) else []
    return [*before, *shown, *after]


def figure_lines(figures: Figures) -> Iterator[str]:
    """Show how each kind of operation went, and why some did not."""
    latency_names = "".join(f"{name:>10}" for name in QUANTILES)
    yield f"{'':<10}{'ok':>9}{'fail':>7}{'info':>7}{'available':>11}{latency_names}"
    for f, kind in figures.kinds.items():
        latencies = "".join(f"{ms:>7.1f} ms" for ms in kind.latencies_ms.values())
        available = f"{kind.availability:.2%}" if f != "crash" else ""
        yield f"{f:<10}{kind.ok:>9,}{kind.fail:>7,}{kind.info:>7,}{available:>11}{latencies}"
    for text, count in figures.errors.items():
        yield f"{'not ok':<10}{count:>9,} times: {_shorten(text)}"


def message_lines(messages: MessageFigures) -> Iterator[str]:
    """Show how many messages the servers needed."""
    split = ", ".join(
        f"{peer} {each:.2f}" for peer, each in messages.per_operation_by_peer.items() if each
    )
    yield f"{'servers':<10}{messages.per_operation:>9.2f} messages per operation ({split})"
    yield (
        f"{'messages':<10}{messages.total:>9,} sent: {messages.servers:,} between servers, "
        f"{messages.clients:,} with clients; {messages.lost:,} lost"
    )


def lag_lines(verdict: Verdict) -> Iterator[str]:
    """Show the poll that was furthest behind."""
    lag = verdict.worst_realtime_lag
    if lag is not None:
        yield (
            f"{'worst lag':<10}{lag.lag_s:>9.3f} s, key {lag.key}, process {lag.process}, "
            f"{lag.time_s:.1f} s into the run"
        )


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= VALUE_CHARS else line[:VALUE_CHARS] + "…"


def join(*parts: Iterable[str]) -> str:
    """Return the lines of all parts as one text."""
    return "\n".join(line for part in parts for line in part)
