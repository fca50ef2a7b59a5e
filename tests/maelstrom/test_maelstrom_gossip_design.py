"""The design `gossip`, step by step: holes, tombstones, forgetting, hearing and not hearing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from scripted_services import Loss, ScriptedNetwork, Services, is_first

from tidings.maelstrom.design import Body
from tidings.maelstrom.designs.gossip import DIGEST_INTERVAL_S, PROBE_INTERVAL_S, Gossip, create
from tidings.maelstrom.offset_index import HOLE_PATIENCE_S
from tidings.maelstrom.polling import POLL_RECORDS_MAX
from tidings.testing.loop import run

TOMBSTONE = {"tombstone": True}
SOON_S = 0.5
"""Longer than news takes to reach the other nodes."""


@asynccontextmanager
async def nodes(count: int = 1) -> AsyncIterator[tuple[Services, list[Gossip]]]:
    services = Services()
    names = tuple(f"n{number}" for number in range(count))
    async with asyncio.TaskGroup() as tasks:
        designs = [start(tasks, services, name, names) for name in names]
        await asyncio.sleep(0)
        yield services, [design for design, _ in designs]
        for _, task in designs:
            task.cancel()


def start(
    tasks: asyncio.TaskGroup, services: Services, name: str, names: tuple[str, ...]
) -> tuple[Gossip, asyncio.Task[None]]:
    network = ScriptedNetwork(services, name, names)
    design = create(network, Random(name))
    network.design = design
    return design, tasks.create_task(design.run())


async def sent(design: Gossip, *messages: Any) -> list[int]:
    return [await design.send("k", message) for message in messages]


async def patiently_polled(design: Gossip, start_offset: int = 0) -> Any:
    """Return what polls return once holes are old enough to be settled."""
    await design.poll({"k": start_offset})
    await asyncio.sleep(PROBE_INTERVAL_S)
    await design.poll({"k": start_offset})
    await asyncio.sleep(HOLE_PATIENCE_S)
    return (await design.poll({"k": start_offset})).get("k", [])


def test_gossip_send_is_stored_before_it_is_acknowledged() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            assert await sent(design, "a", {"b": None}) == [0, 1]
            assert services.value("seq-kv", "k_0") == {"msg": "a"}
            assert services.value("seq-kv", "k_1") == {"msg": {"b": None}}
            assert services.value("lin-kv", "next_k") == 2

    run(main())


def test_gossip_hole_stops_a_poll_until_it_is_settled_with_a_tombstone() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            services.put("lin-kv", "next_k", 2)  # somebody took 0 and 1 and died
            assert await sent(design, "c") == [2]
            assert await design.poll({"k": 0}) == {}
            await asyncio.sleep(HOLE_PATIENCE_S - 0.3)
            assert await design.poll({"k": 0}) == {}
            assert services.value("seq-kv", "k_0") is None
            await asyncio.sleep(0.6)
            assert await design.poll({"k": 0}) == {"k": [(2, "c")]}
            assert services.value("seq-kv", "k_0") == TOMBSTONE
            assert services.value("seq-kv", "k_1") == TOMBSTONE

    run(main())


def test_gossip_poll_returns_what_lies_before_a_hole_and_nothing_behind_it() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            await sent(design, "a", "b")
            services.put("lin-kv", "next_k", 3)
            await sent(design, "d")
            assert await design.poll({"k": 0}) == {"k": [(0, "a"), (1, "b")]}
            assert await design.poll({"k": 2}) == {}

    run(main())


def test_gossip_record_that_appears_in_a_hole_is_not_skipped() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            services.put("lin-kv", "next_k", 1)
            await sent(design, "b")
            assert await design.poll({"k": 0}) == {}
            services.put("seq-kv", "k_0", {"msg": "a"})
            assert await patiently_polled(design) == [(0, "a"), (1, "b")]
            assert services.value("seq-kv", "k_0") == {"msg": "a"}

    run(main())


def test_gossip_poll_of_tombstones_alone_looks_whether_there_is_more() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            for offset in range(POLL_RECORDS_MAX + 1):
                services.put("seq-kv", f"k_{offset}", TOMBSTONE)
            services.put("lin-kv", "next_k", POLL_RECORDS_MAX + 1)
            assert await patiently_polled(design) == []
            # Somebody takes the next offset, stores there, and dies before it tells.
            services.put("seq-kv", f"k_{POLL_RECORDS_MAX + 1}", {"msg": "a"})
            services.put("lin-kv", "next_k", POLL_RECORDS_MAX + 2)
            assert await patiently_polled(design) == [(POLL_RECORDS_MAX + 1, "a")]

    run(main())


def test_gossip_writer_that_finds_a_tombstone_takes_a_new_offset() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]):
            services.put("seq-kv", "k_0", TOMBSTONE)
            assert await sent(design, "a") == [1]
            assert services.value("seq-kv", "k_0") == TOMBSTONE
            assert await design.poll({"k": 0}) == {"k": [(1, "a")]}

    run(main())


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.REPLY])
@pytest.mark.parametrize("service", ["lin-kv", "seq-kv"])
def test_gossip_swap_without_an_answer_stores_the_message_once(service: str, loss: Loss) -> None:
    async def main() -> None:
        async with nodes(2) as (services, [design, other]):
            services.networks["n0"].lose = is_first(service, "cas", loss)
            await sent(design, "a")
            await sent(design, "b")
            for reader in (design, other):
                messages = [message for _, message in await patiently_polled(reader)]
                assert messages == ["a", "b"]

    run(main())


def test_gossip_what_was_heard_of_is_polled_without_a_call() -> None:
    async def main() -> None:
        async with nodes(2) as (services, [design, other]):
            await sent(design, "a", "b")
            await asyncio.sleep(SOON_S)
            services.networks["n1"].calls.clear()
            assert await other.poll({"k": 0}) == {"k": [(0, "a"), (1, "b")]}
            assert services.networks["n1"].calls == []

    run(main())


def test_gossip_nobody_hears_is_made_up_for_by_asking() -> None:
    async def main() -> None:
        async with nodes(2) as (services, [design, other]):
            services.networks["n1"].hears_peers = False
            assert await other.poll({"k": 0}) == {}
            await sent(design, "a")
            await asyncio.sleep(PROBE_INTERVAL_S)
            await other.poll({"k": 0})  # finds out how far the key goes; its view may be old
            await asyncio.sleep(SOON_S)
            assert await other.poll({"k": 0}) == {"k": [(0, "a")]}

    run(main())


def test_gossip_lost_in_a_partition_is_healed_by_comparing() -> None:
    async def main() -> None:
        async with nodes(2) as (services, [design, other]):
            services.networks["n1"].hears_peers = False
            await sent(design, "a")
            await asyncio.sleep(SOON_S)
            services.networks["n1"].hears_peers = True
            await asyncio.sleep(2 * DIGEST_INTERVAL_S)
            services.networks["n1"].calls.clear()
            polled = await other.poll({"k": 0}) or await other.poll({"k": 0})
            assert not [body for service, body in services.networks["n1"].calls if "lin" in service]
            assert polled == {"k": [(0, "a")]}

    run(main())


def test_gossip_digest_is_answered_with_what_the_other_lacks() -> None:
    async def main() -> None:
        async with nodes(2) as (services, [design, _]):
            await sent(design, "a", "b")
            sent_by = services.networks["n0"].sent
            sent_by.clear()
            design.handle_message("n1", {"type": "gossip_digest", "ends": {"k": 1, "x": 4}})
            design.handle_message("n1", {"type": "gossip_digest", "ends": {"k": 2, "x": 4}})
            assert sent_by == [("n1", {"type": "gossip", "ends": {"k": 2}})]

    run(main())


def test_gossip_restarted_with_empty_memory_returns_everything() -> None:
    async def main() -> None:
        async with nodes() as (services, [design]), asyncio.TaskGroup() as tasks:
            await sent(design, *range(20))
            reborn, task = start(tasks, services, "n0", ("n0",))
            await reborn.poll({"k": 0})  # its view of seq-kv may be old; that renews it
            await asyncio.sleep(SOON_S)
            assert await reborn.poll({"k": 3}) == {"k": [(o, o) for o in range(3, 20)]}
            task.cancel()

    run(main())


def test_gossip_commits_prune_every_index_and_a_poll_from_zero_still_finds_all() -> None:
    async def main() -> None:
        async with nodes(2) as (_, [design, other]):
            await sent(design, *range(50))
            await asyncio.sleep(SOON_S)
            assert [len(node._index("k")) for node in (design, other)] == [50, 50]
            await design.commit_offsets({"k": 47})
            await asyncio.sleep(SOON_S)
            assert [len(node._index("k")) for node in (design, other)] == [3, 3]
            assert await other.poll({"k": 0}) == {"k": [(o, o) for o in range(50)]}
            assert [len(node._index("k")) for node in (design, other)] == [3, 3]

    run(main())


def test_gossip_commit_beyond_the_end_prunes_no_future_record() -> None:
    async def main() -> None:
        async with nodes() as (_, [design]):
            await design.commit_offsets({"k": 2**62})
            await sent(design, "a")
            assert await design.poll({"k": 0}) == {"k": [(0, "a")]}
            assert await design.list_committed_offsets(["k", "x"]) == {"k": 2**62}

    run(main())


@pytest.mark.parametrize("body", [{"type": "unknown"}, {"type": "gossip"}, {}])
def test_gossip_message_it_cannot_use_is_ignored(body: Body) -> None:
    async def main() -> None:
        async with nodes() as (_, [design]):
            design.handle_message("n9", body)

    run(main())
