"""Records in seq-kv, and doing many things at once."""

import asyncio

import pytest
from scripted_services import Loss, ScriptedNetwork, Services

from tidings.errors import Indeterminate
from tidings.maelstrom.concurrently import for_each
from tidings.maelstrom.records import Record, Records
from tidings.testing.loop import run

RECORD: Record = {"msg": 1}


async def network_that_wrote() -> ScriptedNetwork:
    """Return one whose view of seq-kv holds the record."""
    network = ScriptedNetwork(Services())
    assert await Records(network).create("k", 0, RECORD)
    network.calls.clear()
    return network


def test_record_is_read_once_for_all_who_want_it_at_the_same_time() -> None:
    async def main() -> None:
        network = await network_that_wrote()
        records = Records(network)
        async with asyncio.TaskGroup() as tasks:
            reads = [tasks.create_task(records.read("k", [0])) for _ in range(3)]
        assert [read.result() for read in reads] == [{0: RECORD}] * 3
        assert len(network.calls) == 1

    run(main())


def test_record_that_another_failed_to_read_is_read_again() -> None:
    async def main() -> None:
        network = await network_that_wrote()
        network.lose = lambda *_: Loss.REPLY if len(network.calls) == 1 else Loss.NOTHING
        records = Records(network)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(_read_or_fail(records))
            second = tasks.create_task(_read_or_fail(records))
        assert (first.result(), second.result()) == (None, {0: RECORD})

    run(main())


async def _read_or_fail(records: Records) -> dict[int, Record] | None:
    try:
        return await records.read("k", [0])
    except Indeterminate:
        return None


@pytest.mark.parametrize(("count", "most"), [(0, 0), (3, 3), (10, 4)])
def test_each_item_is_done_once_and_few_at_a_time(count: int, most: int) -> None:
    async def main() -> None:
        done: list[int] = []
        under_way: set[int] = set()
        counts: list[int] = [0]

        async def act(item: int) -> None:
            under_way.add(item)
            counts.append(len(under_way))
            await asyncio.sleep(1)
            under_way.remove(item)
            done.append(item)

        await for_each(range(count), act, at_once=4)
        assert sorted(done) == list(range(count))
        assert max(counts) == most

    run(main())
