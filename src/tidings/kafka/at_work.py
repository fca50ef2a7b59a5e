"""A request that waits for what it appends, without a task: most requests are of this kind."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tidings.core.results import Result
from tidings.engine.log import Log, NewBatch, outcome
from tidings.errors import Indeterminate, TidingsError
from tidings.types import Offset

T = TypeVar("T")

Outcome = Offset | TidingsError
"""What became of a batch: the offset of its first record, or why it has none."""


class AtWork(Generic[T]):
    """Batches on their way into the log, and what makes an answer of what became of them."""

    __slots__ = ("_answer_of", "_batches", "_failure", "_timeout_s", "_timer", "results")

    def __init__(
        self,
        log: Log,
        batches: Sequence[NewBatch],
        timeout_s: float,
        answer_of: Callable[[Sequence[Outcome]], T],
    ) -> None:
        """Begin at once: batches are appended in the order in which these are made."""
        loop = asyncio.get_running_loop()
        self._answer_of = answer_of
        self._batches = batches
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._failure: TidingsError | None = None
        # Done when there is an answer, or time is up; cancelled when nobody wants one.
        self.results: asyncio.Future[list[Result]]
        try:
            if batches:
                self.results = log.append_soon(batches)
                self._timer = loop.call_later(timeout_s, self._give_up)
                return
        except TidingsError as error:
            self._failure = error
        self.results = loop.create_future()
        self.results.set_result([])

    async def wait(self) -> T:
        """Return the answer when there is one; who is cancelled leaves.

        Raises:
            InvalidRequest: See `answer`.
        """
        done = asyncio.Event()
        self.results.add_done_callback(lambda _: done.set())
        try:
            await done.wait()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.answer()

    def cancel(self) -> None:
        """Wait no more; the batches may be appended all the same."""
        if self._timer is not None:
            self._timer.cancel()
        self.results.cancel()

    def _give_up(self) -> None:
        """Time is up. Nobody waits for the batches, which are dropped if they can be.

        Those of an idempotent producer stay on their way: without them its later batches, whose
        time is not up, would be out of order, and some clients then begin a new epoch, in which
        they send again what is stored already.
        """
        if self.results.done() or not any(batch.producer for batch in self._batches):
            self.results.cancel()
        else:
            self.results.set_exception(self._late())

    def _late(self) -> Indeterminate:
        return Indeterminate(f"no outcome within {self._timeout_s} s; it may be appended still")

    def answer(self) -> T:
        """Return the answer; `results` is done.

        Raises:
            InvalidRequest: See who made this.
        """
        if self._timer is not None:
            self._timer.cancel()
        return self._answer_of(self._outcomes())

    def _outcomes(self) -> Sequence[Outcome]:
        failure = self._failure
        if self.results.cancelled():
            failure = self._late()
        elif isinstance(error := self.results.exception(), TidingsError):
            failure = error
        if failure is not None:
            return [failure] * len(self._batches)
        return [outcome(result) for result in self.results.result()]
