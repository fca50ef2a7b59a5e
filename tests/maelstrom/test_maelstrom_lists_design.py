"""The designs `naive` and `offset-list`, step by step: lost answers, other writers, old views."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from scripted_services import Loss, ScriptedNetwork, Services, is_first

from tidings.errors import Indeterminate, Unavailable
from tidings.maelstrom.design import Body, Design
from tidings.maelstrom.designs import load
from tidings.maelstrom.freshness import RENEWAL_INTERVAL_S
from tidings.testing.loop import run

BOTH = pytest.mark.parametrize("design_name", ["naive", "offset-list"])


@asynccontextmanager
async def nodes(design_name: str, count: int = 2) -> AsyncIterator[tuple[Services, list[Design]]]:
    services = Services()
    designs = [
        load(design_name)(ScriptedNetwork(services, f"n{number}"), Random(number))
        for number in range(count)
    ]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(design.run()) for design in designs]
        await asyncio.sleep(0)
        yield services, designs
        for task in running:
            task.cancel()


async def polled(design: Design) -> list[tuple[int, Any]]:
    """Return what polls return once the view of seq-kv is fresh."""
    for _ in range(3):
        await design.poll({"k": 0})
        await asyncio.sleep(2 * RENEWAL_INTERVAL_S)
    return (await design.poll({"k": 0})).get("k", [])


@BOTH
@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.REPLY])
@pytest.mark.parametrize("type_", ["cas", "read", "write"])
def test_lists_call_without_an_answer_appends_once(
    design_name: str, type_: str, loss: Loss
) -> None:
    async def main() -> None:
        async with nodes(design_name) as (services, [one, other]):
            services.networks["n0"].lose = is_first("seq-kv", type_, loss)
            await one.send("k", "a")
            await other.send("k", "b")
            for design in (one, other):
                assert sorted(message for _, message in await polled(design)) == ["a", "b"]

    run(main())


def lose_replies_to_swaps(service: str, body: Body) -> Loss:
    del service
    return Loss.REPLY if body["type"] == "cas" else Loss.NOTHING


def test_naive_every_swap_unanswered_is_settled_by_the_list() -> None:
    async def main() -> None:
        async with nodes("naive") as (services, [one, other]):
            services.networks["n0"].lose = lose_replies_to_swaps
            assert await one.send("k", "a") == 0
            assert await other.send("k", "b") == 1
            assert await polled(one) == [(0, "a"), (1, "b")]

    run(main())


def test_offset_list_every_swap_unanswered_is_indeterminate_and_stored_once() -> None:
    async def main() -> None:
        async with nodes("offset-list") as (services, [one, other]):
            services.networks["n0"].lose = lose_replies_to_swaps
            with pytest.raises(Indeterminate):
                await one.send("k", "a")
            assert await other.send("k", "b") == 1
            assert await polled(other) == [(0, "a"), (1, "b")]

    run(main())


@BOTH
def test_lists_messages_of_contending_nodes_are_all_there_in_one_order(design_name: str) -> None:
    async def main() -> None:
        async with nodes(design_name, 3) as (_, designs):
            offsets: dict[int, int] = {}

            async def send(number: int) -> None:
                offsets[number] = await designs[number % 3].send("k", number)

            async with asyncio.TaskGroup() as tasks:
                for number in range(30):
                    tasks.create_task(send(number))
            expected = sorted((offset, number) for number, offset in offsets.items())
            assert [offset for offset, _ in expected] == list(range(30))
            for design in designs:
                assert await polled(design) == expected

    run(main())


@BOTH
def test_lists_gathered_messages_share_a_swap(design_name: str) -> None:
    async def main() -> None:
        async with nodes(design_name, 1) as (services, [design]):
            async with asyncio.TaskGroup() as tasks:
                for number in range(40):
                    tasks.create_task(design.send("k", number))
            lists = [body for _, body in services.networks["n0"].calls if is_list_swap(body)]
            assert len(lists) <= 2

    run(main())


def is_list_swap(body: Body) -> bool:
    return body["type"] == "cas" and isinstance(body["to"], list)


@BOTH
def test_lists_seq_kv_away_poll_is_unavailable(design_name: str) -> None:
    async def main() -> None:
        async with nodes(design_name, 1) as (services, [design]):
            services.networks["n0"].lose = lambda *_: Loss.REQUEST
            with pytest.raises(Unavailable):
                await design.poll({"k": 0})
            assert await design.poll({}) == {}

    run(main())


def test_offset_list_record_is_stored_before_it_is_listed() -> None:
    async def main() -> None:
        async with nodes("offset-list", 1) as (services, [design]):
            services.networks["n0"].lose = is_first("seq-kv", "cas", Loss.REQUEST)
            await design.send("k", "a")
            swaps = [b["key"] for _, b in services.networks["n0"].calls if b["type"] == "cas"]
            assert swaps == ["k_0", "k_0", "ol_k"]

    run(main())


def test_offset_list_record_of_a_dead_writer_is_listed_by_the_next_one() -> None:
    async def main() -> None:
        async with nodes("offset-list", 2) as (services, [one, other]):
            await one.send("k", "a")
            services.put("seq-kv", "k_1", {"msg": "b", "by": "a node that is dead"})
            assert await other.send("k", "c") == 2
            assert services.value("seq-kv", "ol_k") == [0, 1, 2]
            assert await polled(one) == [(0, "a"), (1, "b"), (2, "c")]

    run(main())


def test_offset_list_listed_record_that_an_old_view_misses_ends_the_poll() -> None:
    async def main() -> None:
        async with nodes("offset-list", 1) as (services, [design]):
            services.put("seq-kv", "ol_k", [0, 1, 2])
            services.put("seq-kv", "k_0", {"msg": "a"})
            services.put("seq-kv", "k_2", {"msg": "c"})
            assert await polled(design) == [(0, "a")]
            services.put("seq-kv", "k_1", {"msg": "b"})
            assert await polled(design) == [(0, "a"), (1, "b"), (2, "c")]

    run(main())


def test_naive_log_of_another_key_that_looks_like_ours_is_not_touched() -> None:
    async def main() -> None:
        async with nodes("naive", 1) as (_, [design]):
            await design.send("nonce_n0", "a")
            await design.poll({"nonce_n0": 0})
            await asyncio.sleep(2 * RENEWAL_INTERVAL_S)
            assert await design.poll({"nonce_n0": 0}) == {"nonce_n0": [(0, "a")]}

    run(main())
