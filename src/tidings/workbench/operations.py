"""What workers are asked to do and how it ended; the history of both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tidings.checker.history import Event, EventType
from tidings.types import Json

CompletionType = Literal["ok", "fail", "info"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of the workload, in the shape of `tidings.checker.history`."""

    f: str
    value: Json = None
    seek_to_beginning: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """How an operation ended, and what it then looks like."""

    type: CompletionType
    value: Json
    error: str | None = None


class Recorder:
    """Writes the history, in the order in which things are told to it.

    Args:
        now_s: The time.
        observe: Is told every event, for whoever watches.
    """

    def __init__(
        self, now_s: Callable[[], float], observe: Callable[[Event], None] | None = None
    ) -> None:
        self.events: list[Event] = []
        self._now_s = now_s
        self._observe = observe
        self._started_s = now_s()

    def invoke(self, process: int, operation: Operation) -> Event:
        """Record that `process` begins `operation`."""
        return self._add("invoke", process, operation, operation.value, None)

    def complete(self, process: int, operation: Operation, completion: Completion) -> Event:
        """Record how `operation` ended."""
        return self._add(completion.type, process, operation, completion.value, completion.error)

    def note(self, f: str, value: Json) -> Event:
        """Record what the nemesis did."""
        return self._add("info", "nemesis", Operation(f), value, None)

    def _add(
        self,
        kind: EventType,
        process: int | str,
        operation: Operation,
        value: Json,
        error: str | None,
    ) -> Event:
        event = Event(
            index=len(self.events),
            time=round((self._now_s() - self._started_s) * 1e9),
            type=kind,
            process=process,
            f=operation.f,
            value=value,
            error=error,
            seek_to_beginning=operation.seek_to_beginning,
        )
        self.events.append(event)
        if self._observe is not None:
            self._observe(event)
        return event
