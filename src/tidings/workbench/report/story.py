"""Tells an anomaly as a story: who sent what, who polled what, and what is missing.

The checker names the events that prove an anomaly. A story adds those that a reader asks for next:
the sends of the records concerned, and what later polls of the same key returned.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tidings.checker.history import Event
from tidings.checker.operations import Operation, describe, plain
from tidings.checker.verdict import Anomaly
from tidings.types import Json
from tidings.workbench.report.record import RunRecord

STORIES_MAX: Final = 5
"""How many anomalies of one name are told; all are counted."""

SENDERS_MAX: Final = 6
LATER_POLLS_MAX: Final = 3
STEPS_MAX: Final = 16
WINDOW_MARGIN_S: Final = 0.05
"""How much of the time around a story its message diagram shows."""

WINDOW_S_MAX: Final = 2.0

MEANINGS: Final = {
    "lost-write": "A record took effect, and later ones of its key were polled, but nobody ever "
    "polled this one. It is lost.",
    "unseen": "The log acknowledged a record, and nobody had polled it when the run ended. It is "
    "lost, or some node never learned of it.",
    "duplicate": "One message stands at several offsets of its key: a send was applied twice.",
    "inconsistent-offsets": "Clients saw different messages at the same offset of the same key: "
    "two nodes disagree about the log.",
    "phantom": "A poll returned a message that nobody sent.",
    "G1a": "A poll returned a message whose send had definitely failed, as its client was told.",
    "precommitted-read": "A transaction polled what it had itself sent and not yet committed.",
    "int-poll-skip": "One poll left out records between others that it returned. A consumer "
    "that goes on from there never reads them.",
    "int-nonmonotonic-poll": "One poll returned records twice or out of order.",
    "poll-skip": "Between two polls of one client, records were left out, though the client "
    "had asked for everything from where it was. It never reads them.",
    "nonmonotonic-poll": "A client's second poll went back to records that its first one had "
    "already passed.",
    "int-send-skip": "Between two sends of one transaction stand records of others.",
    "int-nonmonotonic-send": "Two sends of one transaction took their places in reverse.",
    "nonmonotonic-send": "A client's later send took a place before its earlier one.",
}
"""What a reader needs to know of each anomaly; circles have one text for all, `CIRCLE`."""

CIRCLE: Final = (
    "Operations depend on each other in a circle: each saw, or came after, something of the one "
    "before it, so no order of them explains what clients were told."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a story."""

    event: Event
    who: str
    text: str
    pairs: list[tuple[int, Json]]
    """The records of the key concerned that it shows: offset and message."""

    @property
    def is_poll(self) -> bool:
        """Whether it read, and did not write."""
        return self.event.f == "poll"


@dataclass(frozen=True, slots=True)
class Story:
    """One anomaly, told."""

    anomaly: Anomaly
    steps: list[Step]
    """In order of time."""
    left_out: int
    """How many further events belong to it."""
    missing: str
    """What should be there and is not, or should not be and is; may be empty."""

    @property
    def window_s(self) -> tuple[float, float]:
        """The time that its message diagram shows at first."""
        last_s = self.steps[-1].event.time / 1e9 if self.steps else 0.0
        first_s = min((step.event.time for step in self.steps), default=0) / 1e9
        first_s = max(first_s, last_s - WINDOW_S_MAX)
        return max(0.0, first_s - WINDOW_MARGIN_S), last_s + WINDOW_MARGIN_S


class Teller:
    """Tells the stories of one run."""

    def __init__(self, run: RunRecord) -> None:
        self._run = run
        self._operation_of = {op.completion.index: op for op in run.operations}
        self._sends: dict[tuple[str, str], Operation] = {}
        self._polls: dict[str, list[Operation]] = {}
        concerned = {a.key for found in run.verdict.anomalies.values() for a in found if a.key}
        for operation in run.operations:
            for key, batch in operation.sends.items():
                if key in concerned:
                    for message in batch.messages:
                        self._sends[key, describe(message)] = operation
            for key in operation.polls:
                if key in concerned and operation.type == "ok":
                    self._polls.setdefault(key, []).append(operation)

    def stories(self, anomalies: Iterable[Anomaly]) -> Iterator[Story]:
        """Tell the first of these anomalies."""
        for anomaly, _ in zip(anomalies, range(STORIES_MAX), strict=False):
            yield self.tell(anomaly)

    def tell(self, anomaly: Anomaly) -> Story:
        """Tell one."""
        operations = dict.fromkeys(self._proof(anomaly))
        operations.update(dict.fromkeys(self._senders(anomaly)))
        if anomaly.name in {"unseen", "lost-write"}:
            operations.update(dict.fromkeys(self._later_polls(anomaly)))
        ordered = sorted(operations, key=lambda op: op.completion.time)
        steps = [self._step(operation, anomaly.key) for operation in ordered[:STEPS_MAX]]
        return Story(anomaly, steps, len(ordered) - len(steps), _missing(anomaly))

    def _proof(self, anomaly: Anomaly) -> Iterator[Operation]:
        for index in anomaly.event_indexes:
            if index in self._operation_of:
                yield self._operation_of[index]

    def _senders(self, anomaly: Anomaly) -> Iterator[Operation]:
        for message in anomaly.messages[:SENDERS_MAX]:
            text = msgspec.json.encode(message).decode()
            sender = self._sends.get((anomaly.key or "", text))
            if sender is not None:
                yield sender

    def _later_polls(self, anomaly: Anomaly) -> Iterator[Operation]:
        """Yield polls that began later, and returned something from beyond the lost record."""
        sent_ns = max((op.completion.time for op in self._senders(anomaly)), default=0)
        lowest = min(anomaly.offsets, default=0)
        found = 0
        for operation in self._polls.get(anomaly.key or "", []):
            batch = operation.polls[anomaly.key or ""]
            if operation.invocation.time > sent_ns and batch.highest_offset() > lowest:
                yield operation
                found += 1
            if found == LATER_POLLS_MAX:
                return

    def _step(self, operation: Operation, key: str | None) -> Step:
        pairs = [
            (offset, plain(message))
            for batches in (operation.sends, operation.polls)
            for name, batch in batches.items()
            if name == key
            for offset, message in zip(batch.offsets, batch.messages, strict=True)
        ]
        event = operation.completion
        return Step(event, self._run.who(event.process), narrate(operation, key), pairs)


def narrate(operation: Operation, key: str | None) -> str:
    """Say what an operation did, as far as `key` is concerned; with None, all of it."""
    parts = [
        f"sent message {describe(message)} to key {name}"
        for name, batch in operation.sends.items()
        if key in {None, name}
        for message in batch.messages
    ]
    offsets = [
        offset
        for name, batch in operation.sends.items()
        if key in {None, name}
        for offset in batch.offsets
    ]
    for name, batch in operation.polls.items():
        if key in {None, name}:
            got = f"got offsets {ranges(batch.offsets)}" if batch.offsets else "got nothing"
            parts.append(f"polled key {name} and {got}")
    done = ", ".join(parts) or operation.f
    match operation.type:
        case "ok" if parts and offsets:
            return f"{done}, and was told offset {ranges(offsets)}"
        case "fail":
            return f"{done}, and was told that it did not happen: {operation.completion.error}"
        case "info":
            return f"{done}, and was never told whether it happened"
        case _:
            return done


def ranges(offsets: Sequence[int], shown_max: int = 8) -> str:
    """Return offsets in the order given, runs of neighbours as the first and the last."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and offset == runs[-1][1] + 1:
            runs[-1][1] = offset
        else:
            runs.append([offset, offset])
    told = [str(a) if a == b else f"{a}\u2013{b}" for a, b in runs[:shown_max]]
    return ", ".join(told) + (f" and {len(runs) - shown_max} more" if len(runs) > shown_max else "")


def _missing(anomaly: Anomaly) -> str:
    match anomaly.name:
        case "lost-write" | "unseen":
            lost = anomaly.offsets[:1]
            return f"Offset {lost[0]} is missing from every poll." if lost else ""
        case "poll-skip" | "int-poll-skip":
            is_one = len(anomaly.offsets) == 1
            told = ranges(anomaly.offsets)
            subject = f"Offset {told} is" if is_one else f"Offsets {told} are"
            return f"{subject} missing from the poll."
        case _:
            return ""


def meaning(name: str) -> str:
    """Return what an anomaly of that name means."""
    return MEANINGS.get(name, CIRCLE)
