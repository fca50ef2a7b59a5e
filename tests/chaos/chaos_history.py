"""What clients did and saw, and what was done to the broker, in one history.

The events of clients are those of `tidings.checker.history`, with a key for each partition
("topic/0"). What the checker has no word for it passes over:

    f          process         value
    commit     a client's      {key: offset}; its outcome is the event's type
    committed  a client's      when ok: {key: offset}, as a client was told
    kill       "nemesis"       when, as `chaos_run` has it
    start-fault, stop-fault    as `cluster_figures` has it
    complaint  "nemesis"       what no client should ever see

A member of a group is another process after each assignment, which it notes as `subscribe`; one
that reads where it likes notes `assign`.
"""

import itertools
import threading
import time
from collections.abc import Callable

from tidings.checker.history import Event, EventType
from tidings.types import Json

NEMESIS = "nemesis"


class Recorder:
    """Takes events from several threads, in the order in which it gets them."""

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._lock = threading.Lock()
        self._processes = itertools.count()
        self._messages = itertools.count()
        self._events: list[Event] = []

    def new_process(self) -> int:
        """Return the number of a client that did nothing so far."""
        return next(self._processes)

    def new_message(self) -> int:
        """Return a number that nobody has sent."""
        return next(self._messages)

    def note(
        self,
        type_: EventType,
        process: int | str,
        f: str,
        value: Json = None,
        error: str | None = None,
    ) -> None:
        """Add an event that is happening now."""
        with self._lock:
            self._events.append(
                Event(
                    index=len(self._events),
                    time=self._now_ns() - self._start_ns,
                    type=type_,
                    process=process,
                    f=f,
                    value=value,
                    error=error,
                )
            )

    def complain(self, text: str) -> None:
        """Add something that should never happen."""
        self.note("info", NEMESIS, "complaint", text)

    def events(self) -> list[Event]:
        """Return what was noted so far."""
        with self._lock:
            return list(self._events)
