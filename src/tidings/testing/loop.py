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
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Context = dict[str, Any]


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


class SimLoop(asyncio.AbstractEventLoop):
    """The loop. Use `run`, or `run_until_complete` for more than one run on the same clock."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        # (time, number, handle): the number keeps timers of one time in the order they were set.
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self._task_count = 0
        self._tasks: dict[int, SimTask[Any]] = {}
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
            DeadlockError: Nothing can happen any more; names who waits.
            RuntimeError: An error was reported that no task could be told about.
        """
        if isinstance(future, asyncio.Future):
            wanted: asyncio.Future[T] = future
        elif isinstance(future, Generator | Coroutine):
            wanted = self.create_task(future)
        else:
            raise TypeError(f"only coroutines and futures can be run, not {future!r}")
        asyncio._set_running_loop(self)  # noqa: SLF001 -- how a loop announces itself
        self._running = True
        try:
            while not wanted.done():
                self._step()
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001
        if self.unhandled:
            raise RuntimeError(f"unhandled in the loop: {self.unhandled}")
        return wanted.result()

    def _step(self) -> None:
        if self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 -- the loop is who runs handles
            return
        if not self._timers:
            waiting = "\n  ".join(repr(task) for task in self._tasks.values() if not task.done())
            raise DeadlockError(f"at {self._now} s everybody waits:\n  {waiting}")
        when, _, timer = heapq.heappop(self._timers)
        if not timer.cancelled():
            self._now = max(self._now, when)
            self._ready.append(timer)

    def cancel_all(self) -> None:
        """Cancel every task and run until all have ended."""
        while left := [task for task in self._tasks.values() if not task.done()]:
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
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` in `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` at the virtual time `when`."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is: it is dropped when its time comes."""

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
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))
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
