"""The stores in memory as one node reaches them: slow, silent, and late, as the ports allow."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import (
    Appended,
    AppendOutcome,
    BlobStore,
    Occupied,
    OrderStore,
    Trimmed,
    Unsettled,
)
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.life import Answer, Life
from tidings.testing.trace import Trace
from tidings.types import Slot

T = TypeVar("T")


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a store in memory never waits")


class _Lost(Exception):
    """No answer came in time."""


async def _ask(life: Life, kind: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def carry_out() -> Answer:
        try:
            result = at_once(call())
        except Unavailable as error:
            refusal = error
            return lambda: None if answer.done() else answer.set_exception(refusal)
        return lambda: None if answer.done() else answer.set_result(result)

    def refuse() -> None:
        if not answer.done():
            answer.set_exception(Unavailable("nobody listens there"))

    life.call_store(kind, carry_out, refuse)
    patience = loop.call_later(life.call_timeout_s, _give_up, answer)
    try:
        return await answer
    finally:
        patience.cancel()


def _give_up(answer: asyncio.Future[T]) -> None:
    if not answer.done():
        answer.set_exception(_Lost())


class FaultyOrderStore:
    """The order store as one node reaches it."""

    def __init__(self, inner: MemoryOrderStore, life: Life, trace: Trace) -> None:
        self._inner = inner
        self._life = life
        self._trace = trace
        self.entry_bytes_max = inner.entry_bytes_max
        self.inline_bytes_max = inner.inline_bytes_max
        self.can_trim = inner.can_trim
        self.is_exclusive = inner.is_exclusive

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        outcome: AppendOutcome
        try:
            outcome = await _ask(self._life, "append", lambda: self._inner.append(slot, entry))
        except _Lost:
            outcome = Unsettled("no answer")
        except Unavailable:
            self._trace.count("append refused")
            self._trace.add(self._life.node_id, "append refused", f"slot {slot}")
            raise
        kind = type(outcome).__name__.lower()
        self._trace.count(f"append {kind}")
        self._trace.add(self._life.node_id, f"append {kind}", f"slot {slot}")
        # Not every store tells what the winner wrote.
        tells = slot % 2 or outcome == Appended()
        return outcome if tells or not isinstance(outcome, Occupied) else Occupied()

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        try:
            return await _ask(self._life, "call", lambda: self._inner.read(start, count_max))
        except _Lost:
            raise Unavailable("no answer") from None

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        try:
            await _ask(self._life, "call", lambda: self._inner.trim(below))
        except _Lost:
            raise Unavailable("no answer") from None
        self._trace.count("trimmed")
        self._trace.add(self._life.node_id, "trimmed", f"below {below}")

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        try:
            return await _ask(self._life, "call", lambda: self._inner.read_cell(name))
        except _Lost:
            raise Unavailable("no answer") from None

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        try:
            return await _ask(self._life, "call", lambda: self._inner.swap_cell(name, old, new))
        except _Lost:
            raise Indeterminate("no answer") from None
        except Unavailable:
            self._trace.count("swap refused")
            raise


class FaultyBlobStore:
    """The blob store as one node reaches it."""

    def __init__(
        self, inner: MemoryBlobStore, life: Life, trace: Trace, owners: dict[str, Life]
    ) -> None:
        """Build one life's way to a store.

        `owners` gets, of each blob, the life that was told that it is stored, until that life
        wants it deleted.
        """
        self._inner = inner
        self._life = life
        self._trace = trace
        self._owners = owners
        self.can_delete = inner.can_delete

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        try:
            await _ask(self._life, "call", lambda: self._inner.put(name, data))
        except _Lost:
            raise Unavailable("no answer") from None
        except Unavailable:
            self._trace.count("blob refused")
            self._trace.add(self._life.node_id, "blob refused", name)
            raise
        self._owners[name] = self._life
        self._trace.add(self._life.node_id, "blob stored", name)

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        try:
            return await _ask(self._life, "call", lambda: self._inner.get(name))
        except _Lost:
            raise Unavailable("no answer") from None

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        try:
            return await _ask(
                self._life, "call", lambda: self._inner.get_range(name, position, size_bytes)
            )
        except _Lost:
            raise Unavailable("no answer") from None

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        if self._owners.get(name) is self._life:
            del self._owners[name]
        try:
            await _ask(self._life, "call", lambda: self._inner.delete(name))
        except _Lost:
            raise Unavailable("no answer") from None
        self._trace.add(self._life.node_id, "blob deleted", name)


_order_store: type[OrderStore] = FaultyOrderStore
_blob_store: type[BlobStore] = FaultyBlobStore
