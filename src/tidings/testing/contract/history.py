"""What clients asked of stores, and were answered: written down call by call, judged in the end."""

from itertools import count

from tidings.errors import Indeterminate
from tidings.ports import (
    Appended,
    AppendOutcome,
    BlobStore,
    Occupied,
    OrderStore,
    Trimmed,
    Unsettled,
)
from tidings.testing.contract.check import require
from tidings.testing.contract.linearizability import (
    Call,
    Transition,
    Value,
    first_breach,
    only_if,
)
from tidings.types import Slot


class History:
    """The calls of all clients, by register."""

    def __init__(self) -> None:
        self._moments = count()
        self._calls: dict[str, list[Call]] = {}

    def moment(self) -> int:
        """Return a number that is larger than every one before."""
        return next(self._moments)

    def add(
        self, register: str, text: str, transition: Transition, began: int, ended: int | None
    ) -> None:
        """Write down a call on a register; `ended` is None if no answer came."""
        self._calls.setdefault(register, []).append(Call(text, transition, began, ended))

    def judge(self, promise: str) -> None:
        """Demand that an order of the calls explains every answer.

        Raises:
            ContractError: There is none; names `promise` and shows the calls on the register.
        """
        for register, calls in self._calls.items():
            breach = first_breach(calls)
            lines = "\n".join(map(str, breach))
            require(
                condition=not breach,
                promise=promise,
                found=f"no order of these calls on {register} explains their answers:\n{lines}",
            )


class RecordingOrderStore:
    """An order store whose calls are written down."""

    def __init__(self, inner: OrderStore, history: History) -> None:
        self.entry_bytes_max = inner.entry_bytes_max
        self.inline_bytes_max = inner.inline_bytes_max
        self.can_trim = inner.can_trim
        self.is_exclusive = inner.is_exclusive
        self._inner = inner
        self._history = history

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        began = self._history.moment()
        outcome = await self._inner.append(slot, entry)
        ended = None if isinstance(outcome, Unsettled) else self._history.moment()
        text = f"append {entry!r:.40}: {outcome!r:.60}"
        self._history.add(f"slot {slot}", text, _appended(entry, outcome), began, ended)
        return outcome

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`. Each slot is a register of its own."""
        began = self._history.moment()
        found = await self._inner.read(start, count_max)
        ended = self._history.moment()

        def add(slot: int, value: Value) -> None:
            text = f"read {start}, {count_max}: {value!r:.40}"
            self._history.add(f"slot {slot}", text, _holds(value), began, ended)

        if isinstance(found, Trimmed):
            add(start, found)
        else:
            for slot, entry in enumerate(found, start):
                add(slot, entry)
            if len(found) < count_max:
                add(start + len(found), None)
        return found

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        began = self._history.moment()
        ended: int | None = None
        try:
            await self._inner.trim(below)
            ended = self._history.moment()
        finally:
            for slot in range(below if self.can_trim else 0):
                self._history.add(f"slot {slot}", f"trim {below}", _trimmed, began, ended)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        began = self._history.moment()
        value = await self._inner.read_cell(name)
        ended = self._history.moment()
        self._history.add(f"cell {name}", f"read: {value!r:.40}", _holds(value), began, ended)
        return value

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        began = self._history.moment()
        register, text = f"cell {name}", f"swap {old!r:.40} to {new!r:.40}"
        try:
            is_set = await self._inner.swap_cell(name, old, new)
        except Indeterminate:
            self._history.add(register, f"{text}: no answer", _swapped(old, new), began, None)
            raise
        transition = _swapped(old, new) if is_set else _other_than(old)
        self._history.add(register, f"{text}: {is_set}", transition, began, self._history.moment())
        return is_set


class RecordingBlobStore:
    """A blob store whose calls are written down."""

    def __init__(self, inner: BlobStore, history: History) -> None:
        self.can_delete = inner.can_delete
        self._inner = inner
        self._history = history

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        began = self._history.moment()
        ended: int | None = None
        try:
            await self._inner.put(name, data)
            ended = self._history.moment()
        finally:
            self._history.add(f"blob {name}", f"put {data!r:.40}", _fills(data), began, ended)

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""
        began = self._history.moment()
        data = await self._inner.get(name)
        ended = self._history.moment()
        self._history.add(f"blob {name}", f"get: {data!r:.40}", _holds(data), began, ended)
        return data

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`."""
        began = self._history.moment()
        data = await self._inner.get_range(name, position, size_bytes)
        ended = self._history.moment()
        text = f"get_range {position}, {size_bytes}: {data!r:.40}"
        place = slice(position, position + size_bytes)
        self._history.add(f"blob {name}", text, _holds_part(data, place), began, ended)
        return data

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        began = self._history.moment()
        ended: int | None = None
        try:
            await self._inner.delete(name)
            ended = self._history.moment()
        finally:
            if self.can_delete:
                self._history.add(f"blob {name}", "delete", _emptied, began, ended)


# What a call makes of a register ------------------------------------------------------------------


def _appended(entry: bytes, outcome: AppendOutcome) -> Transition:
    match outcome:
        case Appended() | Unsettled():
            return _fills(entry)
        case Occupied(None):
            return only_if(lambda value: isinstance(value, bytes))
        case Occupied(held):
            return _holds(held)
        case Trimmed():
            return _holds(outcome)


def _holds(expected: Value) -> Transition:
    return only_if(lambda value: value == expected)


def _other_than(old: Value) -> Transition:
    return only_if(lambda value: value != old)


def _fills(data: bytes) -> Transition:
    return lambda value: [data] if value is None or value == data else []


def _holds_part(expected: bytes | None, place: slice) -> Transition:
    if expected is None:
        return _holds(None)
    return only_if(lambda value: isinstance(value, bytes) and value[place] == expected)


def _emptied(_value: Value) -> list[Value]:
    return [None]


def _trimmed(value: Value) -> list[Value]:
    return [] if value is None else [Trimmed()]


def _swapped(old: bytes | None, new: bytes) -> Transition:
    return lambda value: [new] if value == old else []
