"""Order stores that are each wrong in one place, and the check that must see it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from slow_services import SlowCaller, SlowWire

from tidings.errors import InvalidRequest, TidingsError, Unavailable
from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.maelstrom_kv import MaelstromOrderStore
from tidings.stores.memory import MemoryOrderStore
from tidings.types import Slot

MakeClients = Callable[[int, int], Sequence[OrderStore]]
"""Makes so many clients of one fresh store, from a seed."""

BUGS: list[tuple[str, str, MakeClients]] = []
"""The check that must see it, the bug's name, and the store."""

B = TypeVar("B", bound=type["Planted"])


class Planted(MemoryOrderStore):
    """A store in memory that is about to be spoilt."""

    @classmethod
    def clients(cls, count: int, _seed: int) -> Sequence[OrderStore]:
        return [cls()] * count


def caught_by(check: str) -> Callable[[B], B]:
    def register(bug: B) -> B:
        BUGS.append((check, bug.__name__, bug.clients))
        return bug

    return register


async def a_moment() -> None:
    await asyncio.sleep(0.003)


# Slots ------------------------------------------------------------------------------------------


@caught_by("new_store_is_empty")
class ForgetsWhichJournal(Planted):
    def __init__(self) -> None:
        super().__init__()
        self._slots[Slot(0)] = b"from another journal"
        self._end = Slot(1)


@caught_by("exclusive_store_has_one_client")
class TakesItselfForAlone(Planted):
    @classmethod
    def clients(cls, count: int, _seed: int) -> Sequence[OrderStore]:
        return [cls(is_exclusive=True) for _ in range(count)]


@caught_by("append_fills_an_empty_slot")
class SaysAppendedBeforeItIs(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if slot == self._end:
            append = MemoryOrderStore.append
            asyncio.get_running_loop().call_soon(lambda: run_now(append(self, slot, entry)))
            return Appended()
        return await super().append(slot, entry)


def run_now(call: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that never waits."""
    with contextlib.suppress(StopIteration):
        call.send(None)


@caught_by("append_fills_an_empty_slot")
class ReadsFromALaggingReplica(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        found = await super().read(start, count_max)
        at_end = not isinstance(found, Trimmed) and start + len(found) == self._end
        return found[:-1] if at_end and isinstance(found, list) else found


@caught_by("append_to_a_filled_slot_changes_nothing")
class Overwrites(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        outcome = await super().append(slot, entry)
        if isinstance(outcome, Occupied):
            self._slots[slot] = entry
        return outcome


@caught_by("append_to_a_filled_slot_changes_nothing")
class SaysAppendedWhenOccupied(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        outcome = await super().append(slot, entry)
        return Appended() if isinstance(outcome, Occupied) else outcome


@caught_by("append_to_a_filled_slot_changes_nothing")
class TellsTheWrongEntry(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        outcome = await super().append(slot, entry)
        return Occupied(entry) if isinstance(outcome, Occupied) else outcome


@caught_by("read_stops_at_the_count")
class ReadsOneTooMany(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        return await super().read(start, count_max + 1)


@caught_by("read_stops_at_the_first_empty_slot")
class ReadsTheLastEntryForever(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        return await super().read(Slot(min(start, max(0, self._end - 1))), count_max)


@caught_by("read_of_many_slots_is_in_order")
class OrdersSlotsAsText(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        slots = sorted(self._slots, key=str)
        return [self._slots[slot] for slot in slots if slot >= start][:count_max]


@caught_by("entries_come_back_byte_for_byte")
class KeepsText(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        return await super().append(slot, entry.decode(errors="replace").encode())


@caught_by("entries_come_back_byte_for_byte")
class TakesAnEmptyEntryForAnEmptySlot(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        found = await super().read(start, count_max)
        return found[: found.index(b"")] if isinstance(found, list) and b"" in found else found


@caught_by("largest_entry_fits")
class RefusesTheLargestEntry(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        return (
            Unsettled() if len(entry) >= self.entry_bytes_max else await super().append(slot, entry)
        )


@caught_by("largest_entry_fits")
class CutsEntries(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        return await super().append(slot, entry[:65_535])


@caught_by("too_large_entry_is_refused_or_kept_whole")
class RefusesAfterWriting(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        outcome = await super().append(slot, entry)
        if len(entry) > self.entry_bytes_max:
            raise InvalidRequest("too large")
        return outcome


@caught_by("append_that_is_repeated_fills_one_slot")
class FillsTheNextSlotInstead(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        return await super().append(max(slot, self._end), entry)


@caught_by("append_that_arrives_late_changes_nothing")
class TakesItsOwnRepeatForNews(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if self._slots.get(slot) == entry:
            return await super().append(self._end, entry)
        return await super().append(slot, entry)


# Trimming ---------------------------------------------------------------------------------------


@caught_by("trim_lets_go_or_does_nothing")
class ForgetsTrimming(Planted):
    async def trim(self, below: Slot) -> None:
        del below


@caught_by("trim_lets_go_or_does_nothing")
class TrimsOneTooMany(Planted):
    async def trim(self, below: Slot) -> None:
        await super().trim(Slot(below + 1))


@caught_by("trim_lets_go_or_does_nothing")
class TrimsThoughItCannot(Planted):
    can_trim = False


@caught_by("trim_lets_go_or_does_nothing")
class ReadsTrimmedAsEmpty(Planted):
    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        found = await super().read(start, count_max)
        return [] if isinstance(found, Trimmed) else found


@caught_by("trimmed_slot_is_never_filled_again")
class FillsTrimmedSlots(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if slot < self._trimmed:
            return Appended()
        return await super().append(slot, entry)


@caught_by("trim_boundary_never_moves_back")
class MovesTheBoundaryBack(Planted):
    async def trim(self, below: Slot) -> None:
        self._trimmed = below


# Cells ------------------------------------------------------------------------------------------


@caught_by("cell_is_set_only_from_what_it_holds")
class SwapsWhateverItHolds(Planted):
    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        del old
        return await super().swap_cell(name, self._cells.get(name), new)


@caught_by("cell_is_set_only_from_what_it_holds")
class SetsFromNeverSetTwice(Planted):
    """What the Maelstrom store did before this suite was written."""

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        return self._cells.get(name) == new or await super().swap_cell(name, old, new)


@caught_by("cell_is_set_only_from_what_it_holds")
class TakesNoBytesForNeverSet(Planted):
    async def read_cell(self, name: str) -> bytes | None:
        return self._cells.get(name) or None


@caught_by("cells_of_different_names_are_different")
class IgnoresCase(Planted):
    async def read_cell(self, name: str) -> bytes | None:
        return await super().read_cell(name.lower())

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        return await super().swap_cell(name.lower(), old, new)


# Races ------------------------------------------------------------------------------------------


@caught_by("appends_that_race_are_linearizable")
class LooksBeforeItFills(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if slot < self._end:
            return await super().append(slot, entry)
        await a_moment()
        self._slots[slot] = entry
        self._end = Slot(max(self._end, slot + 1))
        return Appended()


@caught_by("appends_that_race_are_linearizable")
class AnswersReadsFromTheCache(Planted):
    """Right for every example: only a read that overlaps an append leaves its mark."""

    def __init__(self) -> None:
        super().__init__()
        self._cached: dict[tuple[Slot, int], list[bytes] | Trimmed] = {}

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        self._cached.clear()
        await a_moment()
        return await super().append(slot, entry)

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        if (start, count_max) not in self._cached:
            self._cached[start, count_max] = await super().read(start, count_max)
        return self._cached[start, count_max]


class StepsOverEmptySlots(MaelstromOrderStore):
    """Reads slots side by side, and joins what it found without looking for a gap."""

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        found: list[list[bytes]] = [[] for _ in range(count_max)]

        async def read_one(place: int) -> None:
            one = await super(StepsOverEmptySlots, self).read(Slot(start + place), 1)
            assert isinstance(one, list)
            found[place] = one

        try:
            async with asyncio.TaskGroup() as tasks:
                for place in range(count_max):
                    tasks.create_task(read_one(place))
        except* TidingsError as errors:
            raise Unavailable(str(errors)) from errors
        return [entry for one in found for entry in one]

    @classmethod
    def clients(cls, count: int, seed: int) -> Sequence[OrderStore]:
        wire = SlowWire(seed, late_chance=0.1)
        return [cls(SlowCaller(wire, f"n{number}"), "journal") for number in range(count)]


BUGS.append(
    (
        "appends_that_race_are_linearizable",
        StepsOverEmptySlots.__name__,
        StepsOverEmptySlots.clients,
    )
)


@caught_by("trims_that_race_are_linearizable")
class LooksAtTheBoundaryTooEarly(Planted):
    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if slot < self._trimmed:
            return Trimmed()
        await a_moment()
        if slot in self._slots:
            return Occupied()
        self._slots[slot] = entry
        self._end = Slot(max(self._end, slot + 1))
        return Appended()


@caught_by("swaps_that_race_are_linearizable")
class LosesCellUpdates(Planted):
    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        if self._cells.get(name) != old:
            return False
        await a_moment()
        self._cells[name] = new
        return True


@caught_by("swaps_that_race_are_linearizable")
class SwapsTwice(Planted):
    """A request that the wire repeats, long after it was answered."""

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        is_set = await super().swap_cell(name, old, new)
        if is_set:
            again = self._cells.__setitem__
            asyncio.get_running_loop().call_later(0.02, again, name, new)
        return is_set
