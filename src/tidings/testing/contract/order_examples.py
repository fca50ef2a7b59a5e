"""What single calls on an order store must do."""

from tidings.errors import InvalidRequest
from tidings.ports import NAME_CHARACTERS_MAX, Appended, Trimmed
from tidings.testing.contract.check import require, require_equal
from tidings.testing.contract.order_demands import (
    OrderPromise,
    OrderTrial,
    fill,
    require_appended,
    require_cell,
    require_occupied,
    require_own,
    require_read,
    require_trimmed_or_read,
)
from tidings.types import Slot

FAR = Slot(2**40)
"""A slot that is never reached."""

# Slots --------------------------------------------------------------------------------------------


async def new_store_is_empty(trial: OrderTrial) -> None:
    """A fresh store has neither entries nor cells."""
    for store in trial.clients:
        for start in (Slot(0), Slot(1), FAR):
            await require_read(store, start, 10, [])
        await require_cell(store, "x", None)


async def exclusive_store_has_one_client(trial: OrderTrial) -> None:
    """Who is alone asks nobody whether there is more; a second client would be overlooked."""
    first, *others = trial.clients
    require(
        condition=not first.is_exclusive or all(store is first for store in others),
        promise=OrderPromise.EXCLUSIVE,
        found="an exclusive store gave separate clients",
    )


async def append_fills_an_empty_slot(trial: OrderTrial) -> None:
    """Whoever appends, every client sees it at once."""
    entries = []
    for slot in range(9):
        entries.append(b"entry %d" % slot)
        writer = trial.clients[slot % len(trial.clients)]
        await require_appended(writer, Slot(slot), entries[slot])
        for store in trial.clients:
            await require_read(store, Slot(0), 20, entries)


async def append_to_a_filled_slot_changes_nothing(trial: OrderTrial) -> None:
    """Neither its own writer nor another can change a slot."""
    first = trial.clients[0]
    await fill(first, b"a", b"b")
    for store in trial.clients:
        for slot, entry in enumerate([b"a", b"b"]):
            outcome = await store.append(Slot(slot), b"other")
            require_occupied(outcome, entry)
            await require_read(store, Slot(0), 9, [b"a", b"b"], OrderPromise.OCCUPIED)


async def read_stops_at_the_count(trial: OrderTrial) -> None:
    """A read has at most as many entries as were asked for."""
    writer, reader, *_ = trial.clients
    await fill(writer, b"a", b"b", b"c", b"d")
    for start, count_max, expected in [
        (0, 1, [b"a"]),
        (0, 3, [b"a", b"b", b"c"]),
        (1, 2, [b"b", b"c"]),
        (0, 4, [b"a", b"b", b"c", b"d"]),
    ]:
        await require_read(reader, Slot(start), count_max, expected, OrderPromise.COUNT)


async def read_stops_at_the_first_empty_slot(trial: OrderTrial) -> None:
    """Beyond the end there is nothing."""
    writer, reader, *_ = trial.clients
    await fill(writer, b"a", b"b", b"c")
    for start, expected in [(0, [b"a", b"b", b"c"]), (2, [b"c"]), (3, []), (4, []), (FAR, [])]:
        await require_read(reader, Slot(start), 64, expected)


async def read_of_many_slots_is_in_order(trial: OrderTrial) -> None:
    """Slot 10 comes after slot 9, and 100 after 99, whatever a store's keys look like."""
    writer, reader, *_ = trial.clients
    entries = [b"%d" % slot for slot in range(113)]
    await fill(writer, *entries)
    await require_read(reader, Slot(0), 200, entries)
    for start in (1, 9, 10, 98, 100):
        await require_read(reader, Slot(start), 13, entries[start : start + 13])


async def entries_come_back_byte_for_byte(trial: OrderTrial) -> None:
    """Every byte, no byte at all, and what looks like text are kept as they are."""
    writer, reader, *_ = trial.clients
    entries = [bytes(range(256)), b"", b"\0", b"\xff\xfe", b" \r\n", "ü".encode(), b"null", b"{}"]
    await fill(writer, *entries)
    await require_read(reader, Slot(0), 20, entries, OrderPromise.APPENDED)


async def largest_entry_fits(trial: OrderTrial) -> None:
    """An entry of `entry_bytes_max` bytes is kept whole."""
    writer, reader, *_ = trial.clients
    entry = trial.random("entry").randbytes(writer.entry_bytes_max)
    outcome = await writer.append(Slot(0), entry)
    require_equal(outcome, Appended(), OrderPromise.LARGEST, of="append of the largest entry")
    await require_read(reader, Slot(0), 1, [entry], OrderPromise.LARGEST)


async def too_large_entry_is_refused_or_kept_whole(trial: OrderTrial) -> None:
    """One byte more is an `InvalidRequest` without effect, or fits all the same."""
    writer, reader, *_ = trial.clients
    entry = trial.random("entry").randbytes(writer.entry_bytes_max + 1)
    try:
        await require_appended(writer, Slot(0), entry)
    except InvalidRequest:
        expected = []
    else:
        expected = [entry]
    await require_read(reader, Slot(0), 1, expected, OrderPromise.TOO_LARGE)


# Appends without an answer -----------------------------------------------------------------------


async def append_that_is_repeated_fills_one_slot(trial: OrderTrial) -> None:
    """The reply was lost: the same append again finds its entry, and adds none."""
    first, second, *_ = trial.clients
    await fill(first, b"a")
    await first.append(Slot(1), b"mine")
    for _ in range(2):
        require_own(await first.append(Slot(1), b"mine"), b"mine")
    await require_read(second, Slot(0), 9, [b"a", b"mine"], OrderPromise.REPEAT)


async def append_that_arrives_late_changes_nothing(trial: OrderTrial) -> None:
    """The request was delayed, its caller repeated it, and the others went on."""
    sleeper, second, third = trial.clients
    await require_appended(sleeper, Slot(0), b"repeated")
    await require_appended(second, Slot(1), b"theirs")
    require_own(await sleeper.append(Slot(0), b"repeated"), b"repeated")
    require_occupied(await sleeper.append(Slot(1), b"lost the slot"), b"theirs")
    await require_appended(third, Slot(2), b"next")
    expected = [b"repeated", b"theirs", b"next"]
    for store in trial.clients:
        await require_read(store, Slot(0), 9, expected, OrderPromise.LATE)


# Trimming -----------------------------------------------------------------------------------------


async def trim_lets_go_or_does_nothing(trial: OrderTrial) -> None:
    """Where a store can trim, slots below are gone for all; where it cannot, nothing happens."""
    first, second, *_ = trial.clients
    entries = [b"a", b"b", b"c", b"d"]
    await fill(first, *entries)
    await first.trim(Slot(0))
    await require_read(second, Slot(0), 9, entries, OrderPromise.TRIM)
    await first.trim(Slot(2))
    for store in trial.clients:
        for slot in (0, 1, 2, 3):
            await require_trimmed_or_read(store, slot, 2, entries)


async def trimmed_slot_is_never_filled_again(trial: OrderTrial) -> None:
    """A writer that slept through the trim finds no empty slot."""
    first, sleeper, *_ = trial.clients
    await fill(first, b"a", b"b", b"c")
    await first.trim(Slot(3))
    for slot, entry in enumerate([b"a", b"b", b"c"]):
        for late in (entry, b"late"):
            outcome = await sleeper.append(Slot(slot), late)
            if first.can_trim:
                require_equal(outcome, Trimmed(), OrderPromise.TRIMMED, of="a late append")
            elif late == entry:
                require_own(outcome, entry)
            else:
                require_occupied(outcome, entry)
    await require_appended(sleeper, Slot(3), b"d")
    await require_read(first, Slot(3), 9, [b"d"])
    await require_trimmed_or_read(first, 0, 3, [b"a", b"b", b"c", b"d"])


async def trim_boundary_never_moves_back(trial: OrderTrial) -> None:
    """A trim that comes late, with a lower boundary, brings nothing back."""
    first, second, *_ = trial.clients
    entries = [b"a", b"b", b"c", b"d"]
    await fill(first, *entries)
    await first.trim(Slot(3))
    for store in (second, first):
        for below in (1, 3, 0):
            await store.trim(Slot(below))
            for slot in (0, 1, 2, 3):
                await require_trimmed_or_read(store, slot, 3, entries, OrderPromise.BOUNDARY)


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
            await require_cell(store, "x", value)


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
        await require_cell(second, name, None, OrderPromise.NAMES)
        value = name.encode() + bytes(range(256))
        is_set = await first.swap_cell(name, None, value)
        require(
            condition=is_set,
            promise=OrderPromise.NAMES,
            found=f"cell {name!r:.20} was set before anybody set it",
        )
    for name in names:
        await require_cell(second, name, name.encode() + bytes(range(256)), OrderPromise.NAMES)
    await require_read(second, Slot(0), 1, [])
