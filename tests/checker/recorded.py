"""Short ways to write down a history and to judge it."""

from collections.abc import Mapping, Sequence

from tidings.checker.history import Event, EventType
from tidings.checker.kafka import check
from tidings.checker.verdict import Anomaly, Verdict
from tidings.types import Json

EVENT_GAP_NS = 1_000_000_000

Polled = Mapping[str, Sequence[tuple[int, Json]]]


class Recorded:
    """A history that is being written. Each operation returns its completion's index."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._invoked: dict[int, Event] = {}

    def invoke(self, process: int, f: str, value: Json) -> int:
        event = self._record("invoke", process, f, value)
        self._invoked[process] = event
        return event.index

    def complete(self, process: int, value: Json = None, *, ends: EventType = "ok") -> int:
        invocation = self._invoked.pop(process)
        value = invocation.value if value is None else value
        return self._record(ends, process, invocation.f, value).index

    def send(
        self,
        process: int,
        key: str,
        message: Json,
        *,
        at: int | None = None,
        ends: EventType = "ok",
    ) -> int:
        self.invoke(process, "send", [["send", key, message]])
        return self.complete(process, [sent(key, message, at)], ends=ends)

    def poll(self, process: int, polled: Polled, *, ends: EventType = "ok") -> int:
        self.invoke(process, "poll", [["poll"]])
        return self.complete(process, [["poll", polled]], ends=ends)

    def txn(self, process: int, *micro_operations: Json, ends: EventType = "ok") -> int:
        self.invoke(process, "txn", [_asked(each) for each in micro_operations])
        return self.complete(process, list(micro_operations), ends=ends)

    def assign(self, process: int, *keys: str, ends: EventType = "ok") -> int:
        self.invoke(process, "assign", list(keys))
        return self.complete(process, ends=ends)

    def _record(self, kind: EventType, process: int, f: str, value: Json) -> Event:
        index = len(self.events)
        event = Event(
            index=index, time=EVENT_GAP_NS * index, type=kind, process=process, f=f, value=value
        )
        self.events.append(event)
        return event


def sent(key: str, message: Json, at: int | None = None) -> list[Json]:
    """Return the micro-operation of a send, with its offset if that is known."""
    return ["send", key, message if at is None else [at, message]]


def _asked(micro_operation: Json) -> Json:
    if micro_operation[0] == "poll":
        return ["poll"]
    kind, key, payload = micro_operation
    return [kind, key, payload[1] if isinstance(payload, list) else payload]


def names_of(history: Recorded) -> list[str]:
    """Return the names of everything that is found in a history."""
    return list(check(history.events).anomalies)


def only_anomaly(history: Recorded, name: str) -> Anomaly:
    """Return the one anomaly of a history, which must be bad and have this name."""
    verdict = check(history.events)
    assert verdict.anomaly_counts == {name: 1}
    assert verdict.bad == [name]
    assert not verdict.valid
    return verdict.anomalies[name][0]


def proof(verdict: Verdict, name: str) -> list[int]:
    """Return the events that prove the only instance of an anomaly."""
    (anomaly,) = verdict.anomalies[name]
    return anomaly.event_indexes
