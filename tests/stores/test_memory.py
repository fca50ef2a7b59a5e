"""The stores in memory, which are the reference for every other."""

import pytest

from tidings.ports import Appended, Occupied, Trimmed
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Slot


async def filled(*entries: bytes) -> MemoryOrderStore:
    store = MemoryOrderStore()
    for slot, entry in enumerate(entries):
        assert await store.append(Slot(slot), entry) == Appended()
    return store


def test_append_to_an_empty_slot_fills_it() -> None:
    async def main() -> None:
        store = await filled(b"a", b"b")
        assert await store.read(Slot(0), 10) == [b"a", b"b"]

    run(main())


def test_append_to_a_filled_slot_changes_nothing_and_tells_what_it_holds() -> None:
    async def main() -> None:
        store = await filled(b"a")
        assert await store.append(Slot(0), b"b") == Occupied(b"a")
        assert await store.append(Slot(0), b"a") == Occupied(b"a")
        assert await store.read(Slot(0), 10) == [b"a"]

    run(main())


def test_append_beyond_the_end_breaks_the_contract() -> None:
    async def main() -> None:
        store = await filled(b"a")
        with pytest.raises(AssertionError, match="gap"):
            await store.append(Slot(2), b"c")

    run(main())


def test_read_stops_at_the_count_and_at_the_first_empty_slot() -> None:
    async def main() -> None:
        store = await filled(b"a", b"b", b"c")
        assert await store.read(Slot(0), 2) == [b"a", b"b"]
        assert await store.read(Slot(2), 2) == [b"c"]
        assert await store.read(Slot(3), 2) == []

    run(main())


def test_trimmed_slots_are_gone_and_can_never_be_filled_again() -> None:
    async def main() -> None:
        store = await filled(b"a", b"b", b"c")
        await store.trim(Slot(2))
        assert await store.append(Slot(1), b"b") == Trimmed()
        assert await store.read(Slot(1), 10) == Trimmed()
        assert await store.read(Slot(2), 10) == [b"c"]
        assert await store.append(Slot(3), b"d") == Appended()

    run(main())


def test_trim_never_moves_the_boundary_back_nor_beyond_the_end() -> None:
    async def main() -> None:
        store = await filled(b"a", b"b", b"c")
        await store.trim(Slot(2))
        await store.trim(Slot(1))
        assert await store.read(Slot(1), 10) == Trimmed()
        await store.trim(Slot(99))
        assert await store.append(Slot(3), b"d") == Appended()
        assert await store.read(Slot(3), 10) == [b"d"]

    run(main())


def test_cell_is_set_only_from_what_it_holds() -> None:
    async def main() -> None:
        store = MemoryOrderStore()
        assert await store.read_cell("x") is None
        assert not await store.swap_cell("x", b"1", b"2")
        assert await store.swap_cell("x", None, b"1")
        assert not await store.swap_cell("x", None, b"2")
        assert await store.swap_cell("x", b"1", b"2")
        assert await store.read_cell("x") == b"2"
        assert await store.read_cell("y") is None

    run(main())


def test_blob_is_found_once_it_was_put_and_may_be_put_again() -> None:
    async def main() -> None:
        store = MemoryBlobStore()
        assert await store.get("x") is None
        await store.put("x", b"1")
        await store.put("x", b"1")
        assert await store.get("x") == b"1"

    run(main())


def test_blob_put_again_with_other_bytes_breaks_the_contract() -> None:
    async def main() -> None:
        store = MemoryBlobStore()
        await store.put("x", b"1")
        with pytest.raises(AssertionError, match="twice"):
            await store.put("x", b"2")

    run(main())
