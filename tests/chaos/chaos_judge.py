"""Judges a history of `chaos_history`: what the project's checker says, and what it does not judge.

- A producer that is not idempotent but tries again may store a record more than once. Each copy is
  an attempt of which the producer was not told, and enters the history as a send whose outcome is
  unknown. An attempt is lost only with the broker: there are no more copies than kills. Or, in a
  cluster, with a fault: there are copies only of what was on its way then, or shortly after.
- An offset that was committed does not go back: neither as clients are told, nor as the members of
  the group begin to read.
- Every send of a producer that does not give up is acknowledged in the end.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from chaos_history import NEMESIS
from cluster_figures import Period, faults

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.checker.operations import Message, Operation, read_operations
from tidings.checker.verdict import Verdict
from tidings.types import Json

IDEMPOTENT = "idempotent"
"""Topics so named get records from producers that are idempotent and never give up …"""

RETRYING = "retrying"
"""… from those that never give up but are not …"""

ONCE = "once"
"""… and from those that try once."""

RECOVERY_S = 30.0
"""So long after a fault in a cluster a request may get no answer, and be sent again."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of a history."""

    history: list[Event]
    """The history as it was judged: with the attempts of which a producer was not told."""
    verdict: Verdict
    findings: list[str]
    """What is wrong, beside the verdict."""
    copy_count: int
    """Attempts of which a producer was not told."""

    @property
    def is_valid(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict.valid and not self.findings

    def lines(self) -> Iterator[str]:
        """Say what is wrong."""
        for name in self.verdict.bad:
            yield f"{name}: {self.verdict.anomaly_counts[name]}"
            for anomaly in self.verdict.anomalies[name][:5]:
                yield f"  {anomaly.sentence}; events {anomaly.event_indexes[:8]}"
        yield from self.findings


def judge(history: Sequence[Event]) -> Judgement:
    """Judge a history."""
    findings = [
        f"{event.f}: {event.value}"
        for event in history
        if event.process == NEMESIS and event.f == "complaint"
    ]
    operations = read_operations(history)
    findings += _unanswered(operations)
    findings += _judge_commits(operations)
    copies = _copies(operations)
    attempts, unexplained = _explain_copies(history, operations, copies)
    explained = list(_with_attempts(history, attempts, copies))
    copy_count = sum(map(len, attempts.values()))
    return Judgement(explained, check(explained), findings + unexplained, copy_count)


def _unanswered(operations: Sequence[Operation]) -> list[str]:
    return [
        f"unanswered: {operation.completion.value} of process {operation.process} ended with "
        f"{operation.completion.error or 'nothing'}"
        for operation in operations
        if operation.type != "ok"
        and any(key.startswith((IDEMPOTENT, RETRYING)) for key in operation.sends)
    ]


Place = tuple[str, Message]
"""A key, and a message in it."""


def _explain_copies(
    history: Sequence[Event], operations: Sequence[Operation], copies: dict[Place, dict[int, str]]
) -> tuple[dict[int, list[str]], list[str]]:
    """Return the attempts by the place where their send was invoked, and what is wrong."""
    kills = [place for place, event in enumerate(history) if event.f == "kill"]
    disturbances = faults(history)
    findings = []
    attempts: dict[int, list[str]] = {}
    for operation in operations:
        for key, batch in operation.sends.items():
            names = copies.get((key, batch.messages[0]))
            if names is None:
                continue
            attempts[operation.invoked_at] = [name for name in names.values() if name]
            times = sum(operation.invoked_at < kill < operation.completed_at for kill in kills)
            if len(names) > 1 + times and not _is_disturbed(operation, disturbances):
                findings.append(
                    f"copies: message {batch.messages[0]} of {key} is at {len(names)} offsets, "
                    f"{', '.join(map(str, names))}, with {times} kills between"
                )
    return attempts, findings


def _is_disturbed(operation: Operation, disturbances: Sequence[Period]) -> bool:
    """Whether there was a fault of a cluster while a send was on its way, or shortly before."""
    begin_s = operation.invocation.time / 1e9 - RECOVERY_S
    return any(each.overlaps(begin_s, operation.completion.time / 1e9) for each in disturbances)


def _copies(operations: Sequence[Operation]) -> dict[Place, dict[int, str]]:
    """Return by key and message that is at several offsets: what to call it at each.

    Where it was acknowledged, or at its first offset, it keeps its name: "".
    """
    offsets_of: dict[Place, dict[int, None]] = defaultdict(dict)
    for operation in operations:
        if operation.type != "ok":
            continue
        for key, batch in (*operation.sends.items(), *operation.polls.items()):
            if key.startswith(RETRYING):
                for offset, message in zip(batch.offsets, batch.messages, strict=True):
                    offsets_of[key, message].setdefault(offset)
    acknowledged = {
        (key, batch.messages[0]): batch.offsets[0]
        for operation in operations
        if operation.type == "ok"
        for key, batch in operation.sends.items()
    }
    return {
        (key, message): {
            offset: "" if offset == first else f"{message} at {offset}" for offset in offsets
        }
        for (key, message), offsets in offsets_of.items()
        if len(offsets) > 1
        for first in [acknowledged.get((key, message), min(offsets))]
    }


def _with_attempts(
    history: Sequence[Event],
    attempts: dict[int, list[str]],
    copies: dict[Place, dict[int, str]],
) -> Iterator[Event]:
    """Yield the history with the attempts beside their sends, and polls that name them."""
    process = 1 + max(
        (event.process for event in history if isinstance(event.process, int)), default=0
    )
    index = 0
    for position, event in enumerate(history):
        value = _rename(event, copies) if event.f == "poll" and event.type == "ok" else event.value
        yield _changed(event, index, event.process, value)
        index += 1
        for name in attempts.get(position, ()):
            ((_, key, _),) = event.value
            yield _changed(event, index, process, [["send", key, name]])
            process += 1
            index += 1


def _rename(event: Event, copies: dict[Place, dict[int, str]]) -> Json:
    ((_, polled),) = event.value
    return [
        [
            "poll",
            {
                key: [
                    [offset, copies.get((key, message), {}).get(offset, "") or message]
                    for offset, message in records
                ]
                for key, records in polled.items()
            },
        ]
    ]


def _changed(event: Event, index: int, process: int | str, value: Json) -> Event:
    return Event(
        index=index,
        time=event.time,
        type=event.type,
        process=process,
        f=event.f,
        value=value,
        error=event.error,
    )


@dataclass(slots=True)
class _Commits:
    """What is known of the committed offset of one key, as the history goes on."""

    acknowledged: int = 0
    """No lower offset may be told or resumed from any more."""
    tried: int = 0
    """No higher one was ever asked for."""
    floor_of: dict[int, int] = field(default_factory=dict)
    """By process, `acknowledged` when it began to ask, or to read."""


def _judge_commits(operations: Sequence[Operation]) -> list[str]:
    """Follow commits and what was told of them, in the order in which it was observed."""
    findings: list[str] = []
    commits: dict[str, _Commits] = defaultdict(_Commits)
    for event, operation in _in_order(operations):
        is_end = event is not operation.invocation
        match operation.f:
            case "commit":
                for key, offset in operation.invocation.value.items():
                    commits[key].tried = max(commits[key].tried, offset)
                    if is_end and event.type == "ok":
                        commits[key].acknowledged = max(commits[key].acknowledged, offset)
            case "committed" if is_end and event.type == "ok":
                for key, offset in event.value.items():
                    findings += _misplaced("was told", operation, key, offset, commits[key])
                    commits[key].acknowledged = max(commits[key].acknowledged, offset)
            case "committed" | "subscribe" if not is_end:
                for key in operation.invocation.value:
                    commits[key].floor_of[operation.process] = commits[key].acknowledged
            case "poll" if is_end:
                for key, batch in operation.polls.items():
                    if operation.process in commits[key].floor_of:
                        first = batch.offsets[0]
                        findings += _misplaced("began at", operation, key, first, commits[key])
                        del commits[key].floor_of[operation.process]
    return findings


def _in_order(operations: Sequence[Operation]) -> list[tuple[Event, Operation]]:
    """Return both ends of the operations, in the order of the history."""
    ends = [(operation.invoked_at, operation.invocation, operation) for operation in operations]
    ends += [
        (operation.completed_at, operation.completion, operation)
        for operation in operations
        if operation.completion is not operation.invocation
    ]
    return [(event, operation) for _, event, operation in sorted(ends, key=lambda end: end[0])]


def _misplaced(
    what: str, operation: Operation, key: str, offset: int, commits: _Commits
) -> Iterator[str]:
    floor = commits.floor_of[operation.process]
    if not floor <= offset <= commits.tried:
        yield (
            f"committed offset: process {operation.process} {what} {offset} of {key}, where "
            f"{floor} was committed before and {commits.tried} is the highest that was tried; "
            f"event {operation.completion.index}"
        )


def tally(history: Sequence[Event]) -> Counter[tuple[str, str]]:
    """Count how the operations ended, by kind and outcome; sends by their topic."""
    return Counter(
        (next(iter(operation.sends)).partition("/")[0] if operation.sends else operation.f, kind)
        for operation in read_operations(history)
        for kind in [operation.type]
    )
