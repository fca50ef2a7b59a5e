"""Calls that block, carried out on a few threads: the event loop never waits for a disk.

Calls are begun in the order in which they came. With one thread they are also ended in that order,
and what they use needs no lock. What waits is bounded, and nobody waits for ever.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from tidings.errors import Indeterminate, Unavailable

T = TypeVar("T")

WAITING_MAX = 1024
"""Calls that may wait for a thread, or be under way on one; more are refused."""

TIMEOUT_S = 10.0
"""How long a caller waits: longer than a disk that is busy takes, shorter than one that is gone."""


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """One call and the future that its caller waits for."""

    function: Callable[[], T]
    answer: asyncio.Future[T]


class Threads:
    """Some threads that work for one event loop, the one that runs when they are made."""

    def __init__(
        self, name: str, count: int = 1, *, afterwards: Callable[[], None] | None = None
    ) -> None:
        """Start `count` threads; each does `afterwards` when it has answered a call."""
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._afterwards = afterwards
        # Calls that were handed over and not answered yet. Only the loop counts.
        self._waiting = 0
        self._is_closed = False
        self._ended = [self._loop.create_future() for _ in range(count)]
        for number, ended in enumerate(self._ended):
            # A daemon: a disk that never answers must not keep the process from ending.
            Thread(target=self._work, args=(ended,), name=f"{name} {number}", daemon=True).start()

    async def call(self, function: Callable[[], T]) -> T:
        """Carry out `function` on a thread; return what it returns, or raise what it raises.

        A caller that is cancelled, or gives up, may find that the call was made all the same.

        Raises:
            Unavailable: Too many calls wait, or the threads were closed; it was not called.
            Indeterminate: It did not return in time; it may still be called.
        """
        if self._is_closed:
            raise Unavailable("the store is closed")
        if self._waiting >= WAITING_MAX:
            raise Unavailable(f"{self._waiting} calls wait for the disk already; try again later")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._calls.put(_Call(function, answer))
        # In place of asyncio.timeout, which takes as long as all else here.
        timer = self._loop.call_later(TIMEOUT_S, _give_up, answer)
        try:
            return await answer
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Let what waits be carried out, then end the threads."""
        if not self._is_closed:
            self._is_closed = True
            for _ in self._ended:
                self._calls.put(None)
        for ended in self._ended:
            await ended

    def _work(self, ended: asyncio.Future[None]) -> None:
        while (call := self._calls.get()) is not None:
            self._tell(_outcome_of(call), self._count_answer)
            if self._afterwards is not None:
                self._afterwards()
        self._tell(lambda: None if ended.done() else ended.set_result(None))

    def _tell(self, *callbacks: Callable[[], None]) -> None:
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: [callback() for callback in callbacks])

    def _count_answer(self) -> None:
        self._waiting -= 1


def _give_up(answer: asyncio.Future[T]) -> None:
    if not answer.done():
        answer.set_exception(Indeterminate(f"the disk did not answer in {TIMEOUT_S:g} s"))


def _outcome_of(call: _Call[T]) -> Callable[[], None]:
    """Carry out a call; return what hands its outcome to the caller, to be called on the loop."""
    answer = call.answer
    if answer.done():
        # The caller gave up before it was begun.
        return lambda: None
    try:
        result = call.function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
        failure = error
        return lambda: None if answer.done() else answer.set_exception(failure)
    return lambda: None if answer.done() else answer.set_result(result)
