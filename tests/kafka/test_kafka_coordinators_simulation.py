"""Consumer groups whose coordinator moves, while brokers do not agree on where it is."""

import asyncio
import random

import pytest
import simulated_coordinators
from simulated_coordinators import Coordinators
from simulated_group import REBALANCE_MS, REQUEST_S_MAX, SESSION_MS, Consumer
from test_kafka_group_simulation import check_settled, disturb

from tidings.testing.loop import run

TROUBLE_S = 240.0
SETTLE_S = (
    4 * (SESSION_MS + REBALANCE_MS) / 1000 + 4 * REQUEST_S_MAX + simulated_coordinators.SLEEP_S_MAX
)

SEEDS = range(25)

WANTED = [
    "COORDINATOR_NOT_AVAILABLE",
    "ILLEGAL_GENERATION",
    "NOT_COORDINATOR",
    "REBALANCE_IN_PROGRESS",
    "UNKNOWN_MEMBER_ID",
    "assigned",
    "commit",
    "moved",
    "moved late",
]
"""What must happen in some of the runs: else they prove little."""


async def live(seed: int) -> dict[str, int]:
    """Run a group while its coordinator moves, then let it settle; return what happened."""
    world = Coordinators(f"cluster {seed}")
    nemesis = random.Random(f"cluster {seed}/nemesis")
    world.loss_percent = nemesis.choice([0, 5, 20])
    world.latency_s_max = nemesis.choice([0.01, 0.5])
    world.log.failures_percent = nemesis.choice([0, 0, 10, 40])
    async with asyncio.TaskGroup() as tasks:
        moves = [nemesis.uniform(1, 30) for _ in range(nemesis.choice([3, 10]))]
        brokers = tasks.create_task(world.run(moves))
        consumers: dict[Consumer, asyncio.Task[None]] = {}
        end_s = asyncio.get_running_loop().time() + TROUBLE_S
        while asyncio.get_running_loop().time() < end_s:
            disturb(world, consumers, nemesis, tasks)
            await asyncio.sleep(nemesis.uniform(0, 20))
        world.loss_percent, world.latency_s_max = 0, 0.01
        world.log.failures_percent = 0
        await asyncio.sleep(max(0, sum(moves) - TROUBLE_S) + SETTLE_S)
        check_settled(world, {one: task for one, task in consumers.items() if not task.done()})
        for task in [*consumers.values(), brokers]:
            task.cancel()
    return world.seen.counts


@pytest.mark.parametrize("seed", SEEDS)
def test_group_whose_coordinator_moves_settles_and_commits_only_in_its_newest_generation(
    seed: int,
) -> None:
    run(live(seed))


def test_everything_that_can_happen_to_coordinators_happens_in_some_run() -> None:
    happened: dict[str, int] = {}
    for seed in SEEDS:
        happened |= run(live(seed))
    assert [event for event in WANTED if event not in happened] == []
