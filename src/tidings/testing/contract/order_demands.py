"""What the contract of order stores says, and how the examples demand it."""

from enum import StrEnum

from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed
from tidings.testing.contract.check import Trial, require, require_equal
from tidings.types import Slot

OrderTrial = Trial[OrderStore]


class OrderPromise(StrEnum):
    """Sentences of `tidings.ports.OrderStore`."""

    FILL = "Fill `slot` with `entry` if it is empty: one compare-and-swap."
    APPENDED = "The slot now holds the entry, for good."
    OCCUPIED = "The slot was filled before; nothing was changed."
    TOLD_ENTRY = "`entry` is what the slot holds, where the store learns that for free."
    REPEAT = "Never a failure: repeat the same append to the same slot until it is settled."
    LATE = "a slot that is filled or was trimmed stays as it is."
    LARGEST = "The largest entry that fits a slot."
    TOO_LARGE = "The entry is larger than `entry_bytes_max`, and nothing was done."
    READ = "Return the entries from `start` on, in order, up to the first empty slot."
    COUNT = "has at most `count_max` entries."
    LINEARIZABLE = "every append which had been settled before the call lies below it."
    CANNOT_TRIM = "If not, it does nothing, and no call says `Trimmed`."
    TRIM = "each of them is trimmed for every client, and the others are as they were."
    BOUNDARY = "never moves the boundary back."
    TRIMMED = "it was filled once and can never be filled again."
    ATOMIC_TRIM = "Whether *n* was trimmed is decided in the same atomic step."
    CELL = "Return a cell's value, linearizably; None if it was never set."
    SWAP = "Set a cell if it holds `old` (None: if it was never set); return whether it was set."
    EXCLUSIVE = (
        "Then there is one client, which may be shared, and what it was told is all there is."
    )
    NAMES = "A name is any text without NUL, and not empty."


async def fill(store: OrderStore, *entries: bytes) -> None:
    """Fill the first slots of an empty store."""
    for slot, entry in enumerate(entries):
        await require_appended(store, Slot(slot), entry)


async def require_appended(store: OrderStore, slot: Slot, entry: bytes) -> None:
    """Append to an empty slot, and demand that it is filled."""
    outcome = await store.append(slot, entry)
    require_equal(outcome, Appended(), OrderPromise.FILL, of=f"append to the empty slot {slot}")


def require_occupied(outcome: AppendOutcome, held: bytes) -> None:
    """Demand that an append of another entry was told that the slot is filled."""
    what = f"append of another entry to a slot that holds {held!r}"
    require(
        condition=isinstance(outcome, Occupied),
        promise=OrderPromise.OCCUPIED,
        found=f"{what} gave {outcome!r}",
    )
    require(
        condition=outcome in (Occupied(), Occupied(held)),
        promise=OrderPromise.TOLD_ENTRY,
        found=f"{what} gave {outcome!r}",
    )


def require_own(outcome: AppendOutcome, entry: bytes) -> None:
    """Demand that an append which was repeated is settled, and as its own."""
    require(
        condition=outcome in (Appended(), Occupied(), Occupied(entry)),
        promise=OrderPromise.REPEAT,
        found=f"an append of {entry!r} that had filled the slot before gave {outcome!r}",
    )


async def require_read(
    store: OrderStore,
    start: Slot,
    count_max: int,
    expected: list[bytes],
    promise: str = OrderPromise.READ,
) -> None:
    """Demand what a read gives."""
    found = await store.read(start, count_max)
    require_equal(found, expected, promise, of=f"read({start}, {count_max})")


async def require_trimmed_or_read(
    store: OrderStore,
    slot: int,
    boundary: int,
    entries: list[bytes],
    promise: str = OrderPromise.TRIM,
) -> None:
    """Demand what a slot shows after a trim, which for some stores does nothing."""
    of = f"read({slot}, 9) after trim({boundary})"
    found = await store.read(Slot(slot), 9)
    if not store.can_trim:
        require_equal(found, entries[slot:], OrderPromise.CANNOT_TRIM, of=of)
    elif slot < boundary:
        require_equal(found, Trimmed(), promise, of=of)
    else:
        require_equal(found, entries[slot:], promise, of=of)


async def require_cell(
    store: OrderStore, name: str, value: bytes | None, promise: str = OrderPromise.CELL
) -> None:
    """Demand what a cell holds."""
    require_equal(await store.read_cell(name), value, promise, of=f"read_cell({name!r:.20})")
