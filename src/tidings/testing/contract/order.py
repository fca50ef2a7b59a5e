"""What every order store must do: examples, and races whose recorded calls are judged."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from enum import StrEnum
from functools import partial
from random import Random
from typing import Any

from tidings.errors import Indeterminate, InvalidRequest, Unavailable
from tidings.ports import (
    NAME_CHARACTERS_MAX,
    Appended,
    AppendOutcome,
    Occupied,
    OrderStore,
    Trimmed,
    Unsettled,
)
from tidings.testing.contract.check import Check, Make, Trial, named, require, require_equal
from tidings.testing.contract.history import History, RecordingOrderStore
from tidings.testing.contract.unreliable import (
    TRIES_MAX,
    Link,
    UnreliableOrderStore,
    until_answered,
)
from tidings.types import Slot

RACE_SLOTS = 32
RACE_SWAPS = 12
"""How often each client of a race tries to swap."""

READ_SLOTS_MAX = 6
NAP_S_MAX = 0.03
"""How long a writer may sleep while the others go on."""

FAR = Slot(2**40)
"""A slot that is never reached."""


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
    NAMES = "A name is any text without NUL, and not empty."


OrderTrial = Trial[OrderStore]


# Slots --------------------------------------------------------------------------------------------


async def new_store_is_empty(trial: OrderTrial) -> None:
    """A fresh store has neither entries nor cells."""
    for store in trial.clients:
        for start in (Slot(0), Slot(1), FAR):
            await _require_read(store, start, 10, [])
        await _require_cell(store, "x", None)


async def append_fills_an_empty_slot(trial: OrderTrial) -> None:
    """Whoever appends, every client sees it at once."""
    entries = []
    for slot in range(9):
        entries.append(b"entry %d" % slot)
        writer = trial.clients[slot % len(trial.clients)]
        await _require_appended(writer, Slot(slot), entries[slot])
        for store in trial.clients:
            await _require_read(store, Slot(0), 20, entries)


async def append_to_a_filled_slot_changes_nothing(trial: OrderTrial) -> None:
    """Neither its own writer nor another can change a slot."""
    first = trial.clients[0]
    await _fill(first, b"a", b"b")
    for store in trial.clients:
        for slot, entry in enumerate([b"a", b"b"]):
            outcome = await store.append(Slot(slot), b"other")
            _require_occupied(outcome, entry)
            await _require_read(store, Slot(0), 9, [b"a", b"b"], OrderPromise.OCCUPIED)


async def read_stops_at_the_count(trial: OrderTrial) -> None:
    """A read has at most as many entries as were asked for."""
    writer, reader, *_ = trial.clients
    await _fill(writer, b"a", b"b", b"c", b"d")
    for start, count_max, expected in [
        (0, 1, [b"a"]),
        (0, 3, [b"a", b"b", b"c"]),
        (1, 2, [b"b", b"c"]),
        (0, 4, [b"a", b"b", b"c", b"d"]),
    ]:
        await _require_read(reader, Slot(start), count_max, expected, OrderPromise.COUNT)


async def read_stops_at_the_first_empty_slot(trial: OrderTrial) -> None:
    """Beyond the end there is nothing."""
    writer, reader, *_ = trial.clients
    await _fill(writer, b"a", b"b", b"c")
    for start, expected in [(0, [b"a", b"b", b"c"]), (2, [b"c"]), (3, []), (4, []), (FAR, [])]:
        await _require_read(reader, Slot(start), 64, expected)


async def read_of_many_slots_is_in_order(trial: OrderTrial) -> None:
    """Slot 10 comes after slot 9, and 100 after 99, whatever a store's keys look like."""
    writer, reader, *_ = trial.clients
    entries = [b"%d" % slot for slot in range(113)]
    await _fill(writer, *entries)
    await _require_read(reader, Slot(0), 200, entries)
    for start in (1, 9, 10, 98, 100):
        await _require_read(reader, Slot(start), 13, entries[start : start + 13])


async def entries_come_back_byte_for_byte(trial: OrderTrial) -> None:
    """Every byte, no byte at all, and what looks like text are kept as they are."""
    writer, reader, *_ = trial.clients
    entries = [bytes(range(256)), b"", b"\0", b"\xff\xfe", b" \r\n", "ü".encode(), b"null", b"{}"]
    await _fill(writer, *entries)
    await _require_read(reader, Slot(0), 20, entries, OrderPromise.APPENDED)


async def largest_entry_fits(trial: OrderTrial) -> None:
    """An entry of `entry_bytes_max` bytes is kept whole."""
    writer, reader, *_ = trial.clients
    entry = trial.random("entry").randbytes(writer.entry_bytes_max)
    outcome = await writer.append(Slot(0), entry)
    require_equal(outcome, Appended(), OrderPromise.LARGEST, of="append of the largest entry")
    await _require_read(reader, Slot(0), 1, [entry], OrderPromise.LARGEST)


async def too_large_entry_is_refused_or_kept_whole(trial: OrderTrial) -> None:
    """One byte more is an `InvalidRequest` without effect, or fits all the same."""
    writer, reader, *_ = trial.clients
    entry = trial.random("entry").randbytes(writer.entry_bytes_max + 1)
    try:
        await _require_appended(writer, Slot(0), entry)
    except InvalidRequest:
        expected = []
    else:
        expected = [entry]
    await _require_read(reader, Slot(0), 1, expected, OrderPromise.TOO_LARGE)


# Appends without an answer -----------------------------------------------------------------------


async def append_that_is_repeated_fills_one_slot(trial: OrderTrial) -> None:
    """The reply was lost: the same append again finds its entry, and adds none."""
    first, second, *_ = trial.clients
    await _fill(first, b"a")
    await first.append(Slot(1), b"mine")
    for _ in range(2):
        _require_own(await first.append(Slot(1), b"mine"), b"mine")
    await _require_read(second, Slot(0), 9, [b"a", b"mine"], OrderPromise.REPEAT)


async def append_that_arrives_late_changes_nothing(trial: OrderTrial) -> None:
    """The request was delayed, its caller repeated it, and the others went on."""
    sleeper, second, third = trial.clients
    await _require_appended(sleeper, Slot(0), b"repeated")
    await _require_appended(second, Slot(1), b"theirs")
    _require_own(await sleeper.append(Slot(0), b"repeated"), b"repeated")
    _require_occupied(await sleeper.append(Slot(1), b"lost the slot"), b"theirs")
    await _require_appended(third, Slot(2), b"next")
    expected = [b"repeated", b"theirs", b"next"]
    for store in trial.clients:
        await _require_read(store, Slot(0), 9, expected, OrderPromise.LATE)


# Trimming -----------------------------------------------------------------------------------------


async def trim_lets_go_or_does_nothing(trial: OrderTrial) -> None:
    """Where a store can trim, slots below are gone for all; where it cannot, nothing happens."""
    first, second, *_ = trial.clients
    entries = [b"a", b"b", b"c", b"d"]
    await _fill(first, *entries)
    await first.trim(Slot(0))
    await _require_read(second, Slot(0), 9, entries, OrderPromise.TRIM)
    await first.trim(Slot(2))
    for store in trial.clients:
        for slot in (0, 1, 2, 3):
            await _require_trimmed_or_read(store, slot, 2, entries)


async def trimmed_slot_is_never_filled_again(trial: OrderTrial) -> None:
    """A writer that slept through the trim finds no empty slot."""
    first, sleeper, *_ = trial.clients
    await _fill(first, b"a", b"b", b"c")
    await first.trim(Slot(3))
    for slot, entry in enumerate([b"a", b"b", b"c"]):
        for late in (entry, b"late"):
            outcome = await sleeper.append(Slot(slot), late)
            if first.can_trim:
                require_equal(outcome, Trimmed(), OrderPromise.TRIMMED, of="a late append")
            elif late == entry:
                _require_own(outcome, entry)
            else:
                _require_occupied(outcome, entry)
    await _require_appended(sleeper, Slot(3), b"d")
    await _require_read(first, Slot(3), 9, [b"d"])
    await _require_trimmed_or_read(first, 0, 3, [b"a", b"b", b"c", b"d"])


async def trim_boundary_never_moves_back(trial: OrderTrial) -> None:
    """A trim that comes late, with a lower boundary, brings nothing back."""
    first, second, *_ = trial.clients
    entries = [b"a", b"b", b"c", b"d"]
    await _fill(first, *entries)
    await first.trim(Slot(3))
    for store in (second, first):
        for below in (1, 3, 0):
            await store.trim(Slot(below))
            for slot in (0, 1, 2, 3):
                await _require_trimmed_or_read(store, slot, 3, entries, OrderPromise.BOUNDARY)


# Cells --------------------------------------------------------------------------------------------


async def cell_is_set_only_from_what_it_holds(trial: OrderTrial) -> None:
    """Also where it holds the new value already, and where it holds no bytes."""
    for old, new, is_set, value in [
        (b"1", b"2", False, None),
        (None, b"1", True, b"1"),
        (None, b"2", False, b"1"),
        (None, b"1", False, b"1"),
        (b"2", b"3", False, b"1"),
        (b"1", b"2", True, b"2"),
        (b"1", b"2", False, b"2"),
        (b"2", b"2", True, b"2"),
        (b"2", b"", True, b""),
        (None, b"4", False, b""),
        (b"", b"4", True, b"4"),
    ]:
        for store in trial.clients[:1] if is_set else trial.clients:
            found = await store.swap_cell("x", old, new)
            require_equal(found, is_set, OrderPromise.SWAP, of=f"swap_cell('x', {old!r}, {new!r})")
        for store in trial.clients:
            await _require_cell(store, "x", value)


async def cells_of_different_names_are_different(trial: OrderTrial) -> None:
    """Names are compared exactly, and no slot is a cell."""
    first, second, *_ = trial.clients
    names = [
        "0",
        "x",
        "X",
        "x/y",
        "x y",
        "x%2Fy",
        "cell",
        "ü",
        "u\u0308",
        "n" * NAME_CHARACTERS_MAX,
    ]
    for name in names:
        await _require_cell(second, name, None, OrderPromise.NAMES)
        value = name.encode() + bytes(range(256))
        is_set = await first.swap_cell(name, None, value)
        require(
            condition=is_set,
            promise=OrderPromise.NAMES,
            found=f"cell {name!r:.20} was set before anybody set it",
        )
    for name in names:
        await _require_cell(second, name, name.encode() + bytes(range(256)), OrderPromise.NAMES)
    await _require_read(second, Slot(0), 1, [])


# Races --------------------------------------------------------------------------------------------


async def appends_that_race_are_linearizable(trial: OrderTrial) -> None:
    """Writers and readers of the same slots, over links that are slow and lose and delay."""
    await _race_for_slots(trial, OrderPromise.LINEARIZABLE, _write, _read)


async def trims_that_race_are_linearizable(trial: OrderTrial) -> None:
    """The same, while the slots are trimmed close behind."""
    promise = OrderPromise.ATOMIC_TRIM if trial.clients[0].can_trim else OrderPromise.CANNOT_TRIM
    await _race_for_slots(trial, promise, _write, _read, _trim)


async def swaps_that_race_are_linearizable(trial: OrderTrial) -> None:
    """Clients that read a cell and swap what they saw for something new."""
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            rng = trial.random(f"client {number}")
            client = _recorded(store, history, Link(rng, tasks))
            tasks.create_task(_swap(client, rng, f"{number}"))
    for store in trial.clients:
        client = RecordingOrderStore(store, history)
        await until_answered(partial(client.read_cell, "x"))
    history.judge(OrderPromise.SWAP)


Part = Callable[[RecordingOrderStore, Random, str], Coroutine[Any, Any, None]]
"""What one task of a race does, until all slots are filled."""


async def _race_for_slots(trial: OrderTrial, promise: str, *parts: Part) -> None:
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            for part in parts:
                name = f"{part.__name__} {number}"
                rng = trial.random(name)
                client = _recorded(store, history, Link(rng, tasks))
                tasks.create_task(part(client, rng, name))
    for store in trial.clients:
        client = RecordingOrderStore(store, history)
        for slot in range(RACE_SLOTS + 1):
            await until_answered(partial(client.read, Slot(slot), 1))
    history.judge(promise)


def _recorded(store: OrderStore, history: History, link: Link) -> RecordingOrderStore:
    return RecordingOrderStore(UnreliableOrderStore(store, link), history)


async def _write(store: RecordingOrderStore, rng: Random, name: str) -> None:
    for slot in range(RACE_SLOTS):
        entry = f"{name}, slot {slot}".encode()
        for _ in range(TRIES_MAX):
            if rng.random() < 0.1:
                await asyncio.sleep(rng.uniform(0, NAP_S_MAX))
            if not isinstance(await store.append(Slot(slot), entry), Unsettled):
                break
        else:
            require(
                condition=False,
                promise=OrderPromise.REPEAT,
                found=f"{TRIES_MAX} appends in a row got no answer",
            )


async def _read(store: RecordingOrderStore, rng: Random, _name: str) -> None:
    end = 0
    for _ in range(TRIES_MAX):
        if end >= RACE_SLOTS:
            break
        start = max(0, end - rng.randrange(3))
        end = max(end, await _end_seen(store, start, 1 + rng.randrange(READ_SLOTS_MAX)))


async def _trim(store: RecordingOrderStore, rng: Random, _name: str) -> None:
    end = 0
    for _ in range(TRIES_MAX):
        if end >= RACE_SLOTS:
            break
        end = max(end, await _end_seen(store, end, READ_SLOTS_MAX))
        if rng.random() < 0.5:
            with contextlib.suppress(Unavailable):
                await store.trim(Slot(max(0, end - rng.randrange(3))))


async def _end_seen(store: RecordingOrderStore, start: int, count_max: int) -> int:
    """Read; return a slot below which all were seen to be filled."""
    try:
        found = await store.read(Slot(start), count_max)
    except Unavailable:
        return 0
    return start + (1 if isinstance(found, Trimmed) else len(found))


async def _swap(store: RecordingOrderStore, rng: Random, name: str) -> None:
    seen: bytes | None = None
    for number in range(RACE_SWAPS):
        if rng.random() < 0.7:
            with contextlib.suppress(Unavailable):
                seen = await store.read_cell("x")
        new = f"{name}, swap {number}".encode()
        with contextlib.suppress(Indeterminate, Unavailable):
            if await store.swap_cell("x", seen, new):
                seen = new


# What examples demand -----------------------------------------------------------------------------


async def _fill(store: OrderStore, *entries: bytes) -> None:
    for slot, entry in enumerate(entries):
        await _require_appended(store, Slot(slot), entry)


async def _require_appended(store: OrderStore, slot: Slot, entry: bytes) -> None:
    outcome = await store.append(slot, entry)
    require_equal(outcome, Appended(), OrderPromise.FILL, of=f"append to the empty slot {slot}")


def _require_occupied(outcome: AppendOutcome, held: bytes) -> None:
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


def _require_own(outcome: AppendOutcome, entry: bytes) -> None:
    """Demand that an append which was repeated is settled, and as its own."""
    require(
        condition=outcome in (Appended(), Occupied(), Occupied(entry)),
        promise=OrderPromise.REPEAT,
        found=f"an append of {entry!r} that had filled the slot before gave {outcome!r}",
    )


async def _require_read(
    store: OrderStore,
    start: Slot,
    count_max: int,
    expected: list[bytes],
    promise: str = OrderPromise.READ,
) -> None:
    found = await store.read(start, count_max)
    require_equal(found, expected, promise, of=f"read({start}, {count_max})")


async def _require_trimmed_or_read(
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


async def _require_cell(
    store: OrderStore, name: str, value: bytes | None, promise: str = OrderPromise.CELL
) -> None:
    require_equal(await store.read_cell(name), value, promise, of=f"read_cell({name!r:.20})")


def order_store_checks() -> dict[str, Check[OrderStore]]:
    """Return every check of an order store by its name.

    Examples need a store that answers in time. Those that end with `linearizable` also stand
    `Unsettled`, `Unavailable` and `Indeterminate` answers.
    """
    return named(
        new_store_is_empty,
        append_fills_an_empty_slot,
        append_to_a_filled_slot_changes_nothing,
        read_stops_at_the_count,
        read_stops_at_the_first_empty_slot,
        read_of_many_slots_is_in_order,
        entries_come_back_byte_for_byte,
        largest_entry_fits,
        too_large_entry_is_refused_or_kept_whole,
        append_that_is_repeated_fills_one_slot,
        append_that_arrives_late_changes_nothing,
        trim_lets_go_or_does_nothing,
        trimmed_slot_is_never_filled_again,
        trim_boundary_never_moves_back,
        cell_is_set_only_from_what_it_holds,
        cells_of_different_names_are_different,
        appends_that_race_are_linearizable,
        trims_that_race_are_linearizable,
        swaps_that_race_are_linearizable,
    )


async def check_order_store(make: Make[OrderStore], seed: int = 0) -> None:
    """Run every check, each on a store of its own.

    Raises:
        ContractError: The contract is broken.
    """
    for check in order_store_checks().values():
        await check(make, seed)
