"""Simulated groups under delays, losses, crashes, failing saves and restarts of the broker."""

import asyncio
import random

import pytest
from simulated_group import (
    GROUP,
    HEARTBEAT_S,
    PARTITIONS,
    REBALANCE_MS,
    REQUEST_S_MAX,
    SESSION_MS,
    Consumer,
    World,
)

from tidings.testing.loop import run

TROUBLE_S = 240.0
SETTLE_S = 4 * (SESSION_MS + REBALANCE_MS) / 1000 + 4 * REQUEST_S_MAX + 10 * HEARTBEAT_S
"""Time enough, without trouble, for the dead to be given up and the living to agree."""

SEEDS = range(25)

WANTED = [
    "COORDINATOR_NOT_AVAILABLE",
    "FENCED_INSTANCE_ID",
    "ILLEGAL_GENERATION",
    "MEMBER_ID_REQUIRED",
    "REBALANCE_IN_PROGRESS",
    "UNKNOWN_MEMBER_ID",
    "assigned",
    "commit",
    "killed",
    "lost answer",
    "restart",
    "time-out",
]
"""What must happen in some of the runs: else they prove little."""


async def live(seed: int) -> dict[str, int]:
    """Run a group through trouble, then let it settle; return how often what happened."""
    world = World(f"{seed}")
    nemesis = random.Random(f"{seed}/nemesis")
    world.loss_percent = nemesis.choice([0, 5, 20])
    world.latency_s_max = nemesis.choice([0.01, 0.5, 4.0])
    world.log.failures_percent = nemesis.choice([0, 0, 10, 40])
    lives = [nemesis.uniform(5, 80) for _ in range(nemesis.choice([0, 2, 5]))]
    async with asyncio.TaskGroup() as tasks:
        broker = tasks.create_task(world.run(lives))
        calm_s = max(0, sum(lives) + 5 * len(lives) - TROUBLE_S) + SETTLE_S
        await disturb_and_settle(world, nemesis, calm_s)
        broker.cancel()
    return world.seen.counts


async def disturb_and_settle(world: World, nemesis: random.Random, calm_s: float) -> None:
    """Have consumers come and go for a while; then all is well, and after `calm_s` they agree."""
    async with asyncio.TaskGroup() as tasks:
        consumers: dict[Consumer, asyncio.Task[None]] = {}
        end_s = asyncio.get_running_loop().time() + TROUBLE_S
        while asyncio.get_running_loop().time() < end_s:
            disturb(world, consumers, nemesis, tasks)
            await asyncio.sleep(nemesis.uniform(0, 20))
        world.loss_percent, world.latency_s_max = 0, 0.01
        world.log.failures_percent = 0
        await asyncio.sleep(calm_s)
        check_settled(world, {one: task for one, task in consumers.items() if not task.done()})
        for task in consumers.values():
            task.cancel()


def disturb(
    world: World,
    consumers: dict[Consumer, asyncio.Task[None]],
    nemesis: random.Random,
    tasks: asyncio.TaskGroup,
) -> None:
    """Kill somebody, or start somebody; now and then with the instance id of another."""
    alive = [one for one, task in consumers.items() if not task.done()]
    if len(alive) > 1 and nemesis.random() < 0.4:
        consumers[nemesis.choice(alive)].cancel()
        world.seen.count("killed")
    elif len(alive) < 5:
        instance_id = nemesis.choice([None, None, "i1", "i2"])
        consumer = Consumer(world, f"c{len(consumers)}", instance_id)
        consumers[consumer] = tasks.create_task(consumer.run(), name=consumer.name)


def check_settled(world: World, alive: dict[Consumer, asyncio.Task[None]]) -> None:
    """All who live agree on one generation, and own every partition once."""
    assert alive, "the nemesis leaves somebody"
    owned = [one.owned for one in alive]
    assert None not in owned, f"somebody has no place: {owned}"
    generations = {places[0]: None for places in owned if places}
    assert list(generations) == [world.stored_generation()]
    partitions = [name for places in owned if places for name in places[1]]
    assert sorted(partitions) == sorted(PARTITIONS)
    assert GROUP in world.log.state.groups


@pytest.mark.parametrize("seed", SEEDS)
def test_group_settles_after_any_trouble_and_no_partition_ever_has_two_owners(seed: int) -> None:
    run(live(seed))


def test_everything_that_can_happen_happens_in_some_run() -> None:
    happened: dict[str, int] = {}
    for seed in SEEDS:
        happened |= run(live(seed))
    assert [event for event in WANTED if event not in happened] == []
