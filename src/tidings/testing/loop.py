"""An asyncio event loop whose time is virtual: it passes only when nothing else is left to do.

`asyncio.timeout`, `sleep`, `TaskGroup`, queues, locks and events behave as in a real loop; sockets,
threads, subprocesses and signals are refused. The same program gives the same run every time, also
in another process: callbacks run in the order in which they became ready, timers in the order of
their time, and tasks hash by the order of their creation, because `asyncio.TaskGroup` keeps its
tasks in a set and cancels them in that set's order.
"""

import asyncio
import contextlib
import contextvars
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import msgspec

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Context = dict[str, Any]


TASKS_KEPT_MIN: Final = 1_000
"""Tasks that a loop remembers before it looks which of them have ended."""


STEPS_MAX: Final = 100_000
"""Callbacks that may run at one moment; a cluster runs some thousands."""


class LivelockError(RuntimeError):
    """So much happened without any time passing that it will never end."""


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set, and the awaited result is not there."""


class SimTask(asyncio.Task[T]):
    """A task that hashes by its number, so that sets of tasks have a reproducible order."""

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        number: int,
        loop: asyncio.AbstractEventLoop,
        name: str,
        context: contextvars.Context | None,
    ) -> None:
        # First, for a task is put into a set while it is made (before Python 3.12).
        self._number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class SimHandle(msgspec.Struct, eq=False):
    """Something to be called, now or at a time: of `asyncio.Handle` what asyncio itself uses.

    A struct, because a run makes hundreds of thousands of them.
    """

    do: Callable[..., object]
    arguments: tuple[Any, ...]
    variables: contextvars.Context
    is_cancelled: bool = False

    def __repr__(self) -> str:
        return f"<SimHandle {self.do!r}>"

    def cancel(self) -> None:
        """Have it not called; a timer stays where it is and is dropped when its time comes."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.is_cancelled


class SimLoop(asyncio.AbstractEventLoop):
    """The loop. Use `run`, or `run_until_complete` for more than one run on the same clock."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[SimHandle] = deque()
        # (time, number, handle): the number keeps timers of one time in the order they were set.
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._timer_count = 0
        # Callbacks that ran since the clock moved.
        self._steps = 0
        self._task_count = 0
        # All tasks that have not ended, and a bounded number of those that have.
        self._tasks: list[SimTask[Any]] = []
        self._tasks_max = TASKS_KEPT_MIN
        self._running = False
        self._closed = False
        # What call_exception_handler was told; such errors have nobody else to tell.
        self.unhandled: list[Context] = []

    def time(self) -> float:
        """Return the virtual time in seconds; 0 when the loop is made."""
        return self._now

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until `future` is done and return its result.

        Raises:
            DeadlockError: Nothing can happen any more; names who waits, and where.
            LivelockError: `STEPS_MAX` callbacks ran and no time passed.
            RuntimeError: An error was reported that no task could be told about.
        """
        if isinstance(future, asyncio.Future):
            wanted: asyncio.Future[T] = future
        elif isinstance(future, Generator | Coroutine):
            wanted = self.create_task(future)
        else:
            raise TypeError(f"only coroutines and futures can be run, not {future!r}")
        asyncio._set_running_loop(self)  # noqa: SLF001 -- how a loop announces itself
        self._running, self._steps = True, 0
        try:
            self._run_until_done(wanted)
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001
        if self.unhandled:
            raise RuntimeError(f"unhandled in the loop: {self.unhandled}")
        return wanted.result()

    def _run_until_done(self, wanted: asyncio.Future[T]) -> None:
        ready = self._ready
        while not wanted.done():
            handle = ready.popleft() if ready else self._next_timer()
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise LivelockError(f"time stands still at {self._now} s; next {handle!r}")
            if handle.is_cancelled:
                continue
            try:
                handle.variables.run(handle.do, *handle.arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 -- nobody else is told
                self.call_exception_handler({"message": repr(handle), "exception": error})

    def _next_timer(self) -> SimHandle:
        """Move the clock to what is called next, and return it."""
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                if when > self._now:
                    self._now, self._steps = when, 0
                return timer
        waiting = "\n  ".join(_where_it_waits(task) for task in self._unfinished())
        raise DeadlockError(f"at {self._now} s everybody waits:\n  {waiting}")

    def _unfinished(self) -> list[SimTask[Any]]:
        return [task for task in self._tasks if not task.done()]

    def cancel_all(self) -> None:
        """Cancel every task and run until all have ended."""
        while left := self._unfinished():
            left[0].cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                self.run_until_complete(left[0])

    # What asyncio asks of a loop ---------------------------------------------------------------

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Run `callback` after what is ready already."""
        variables = contextvars.copy_context() if context is None else context
        handle = SimHandle(callback, args, variables)
        self._ready.append(handle)
        return handle  # type: ignore[return-value]  # see SimHandle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` in `delay` seconds."""
        variables = contextvars.copy_context() if context is None else context
        timer = SimHandle(callback, args, variables)
        # Not by way of `call_at`: a run sets tens of thousands of timers.
        self._timer_count += 1
        heapq.heappush(self._timers, (self._now + delay, self._timer_count, timer))
        return timer  # type: ignore[return-value]  # see SimHandle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` at the virtual time `when`."""
        variables = contextvars.copy_context() if context is None else context
        timer = SimHandle(callback, args, variables)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer  # type: ignore[return-value]  # see SimHandle

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_options: object,
    ) -> SimTask[T]:
        """Return a task of this loop that runs `coro`."""
        self._task_count += 1
        number = self._task_count
        task: SimTask[T] = SimTask(
            coro, number=number, loop=self, name=name or f"task-{number}", context=context
        )
        if len(self._tasks) >= self._tasks_max:
            self._tasks = self._unfinished()
            self._tasks_max = TASKS_KEPT_MIN + 2 * len(self._tasks)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: Context) -> None:
        """Keep an error that nobody awaits; `run_until_complete` raises it."""
        self.unhandled.append(context)

    def get_debug(self) -> bool:
        """Debug mode is off: it would read real clocks."""
        return False

    def is_running(self) -> bool:
        """Whether a run is under way."""
        return self._running

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Drop what is left."""
        self._ready.clear()
        self._timers.clear()
        self._closed = True


def _where_it_waits(task: SimTask[Any]) -> str:
    """Name a task and where it waits, from its outermost call to the innermost."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while isinstance(awaited, CoroutineType) and (frame := awaited.cr_frame) is not None:
        file = frame.f_code.co_filename.rpartition("/")[2]
        places.append(f"{frame.f_code.co_qualname} ({file}:{frame.f_lineno})")
        awaited = awaited.cr_await
    return f"{task.get_name()}: {' > '.join(places)}"


def new_loop() -> SimLoop:
    """Return a loop at time 0."""
    # What it does not implement, asyncio.AbstractEventLoop refuses by raising: that is the point.
    return SimLoop()  # type: ignore[abstract]  # typing calls abstract what raises


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new virtual clock; cancel what it leaves behind; return its result."""
    loop = new_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.cancel_all()
        loop.close()
