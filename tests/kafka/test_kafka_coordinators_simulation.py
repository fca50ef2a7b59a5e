"""Consumer groups whose coordinator moves, while brokers do not agree on where it is."""

import asyncio
import random

import pytest
import simulated_coordinators
from simulated_coordinators import Coordinators
from simulated_group import REBALANCE_MS, REQUEST_S_MAX, SESSION_MS
from test_kafka_group_simulation import TROUBLE_S, disturb_and_settle

from tidings.testing.loop import run

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
        calm_s = max(0, sum(moves) - TROUBLE_S) + SETTLE_S
        await disturb_and_settle(world, nemesis, calm_s)
        brokers.cancel()
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
