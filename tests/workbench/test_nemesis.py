import asyncio
from random import Random

import pytest

from tidings.testing.loop import run
from tidings.workbench.nemesis import (
    PARTITIONS,
    Unheard,
    halve,
    haunt,
    isolate_one,
    ring_of_majorities,
    some_nodes,
)

NODES = ["n0", "n1", "n2", "n3", "n4"]
SEEDS = range(30)


def is_mutual(unheard: Unheard) -> bool:
    return all(node in unheard[sender] for node in unheard for sender in unheard[node])


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_isolates_one_node_both_ways(seed: int) -> None:
    unheard = isolate_one(NODES, Random(seed))
    sizes = sorted(len(senders) for senders in unheard.values())
    assert sizes == [1, 1, 1, 1, 4]
    assert is_mutual(unheard)


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_halves_keep_a_majority_together(seed: int) -> None:
    unheard = halve(NODES, Random(seed))
    sizes = sorted(len(senders) for senders in unheard.values())
    assert sizes == [2, 2, 2, 3, 3]
    assert is_mutual(unheard)


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_ring_lets_each_node_hear_another_majority(seed: int) -> None:
    unheard = ring_of_majorities(NODES, Random(seed))
    heard = {node: tuple(sorted(set(NODES) - set(unheard[node]))) for node in NODES}
    assert all(len(majority) == 3 for majority in heard.values())
    assert all(node in heard[node] for node in NODES)
    assert len(set(heard.values())) == len(NODES)
    assert is_mutual(unheard)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_partition_any_number_of_nodes_never_unheard_by_itself(
    partition: object, count: int
) -> None:
    nodes = NODES[:count] if count <= 5 else [f"n{index}" for index in range(count)]
    unheard = partition(nodes, Random(count))  # type: ignore[operator]
    assert all(node not in senders for node, senders in unheard.items())


def test_some_nodes_range_from_one_to_all() -> None:
    sizes = {len(some_nodes(NODES, Random(seed))) for seed in range(100)}
    assert sizes == {1, 2, 3, 4, 5}
    assert some_nodes(["n0"], Random(0)) == ["n0"]
    assert some_nodes([], Random(0)) == []


class Steps:
    """A fault that only keeps what was asked of it, and when."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.times_s: list[float] = []

    async def begin(self) -> None:
        self._add("begin")

    async def end(self) -> None:
        self._add("end")

    def _add(self, name: str) -> None:
        self.names.append(name)
        self.times_s.append(asyncio.get_running_loop().time())


def haunted(duration_s: float, interval_s: float) -> Steps:
    async def main() -> Steps:
        steps, over = Steps(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(haunt(steps, Random(1), interval_s, over))
            await asyncio.sleep(duration_s)
            over.set()
        return steps

    return run(main())


@pytest.mark.parametrize("duration_s", range(95, 105))
def test_haunt_alternates_and_always_mends_in_the_end(duration_s: int) -> None:
    steps = haunted(duration_s, interval_s=3)
    assert len(steps.names) % 2 == 0
    assert steps.names == ["begin", "end"] * (len(steps.names) // 2)
    assert steps.times_s[-1] <= duration_s


def test_haunt_steps_at_the_asked_interval_on_average() -> None:
    steps = haunted(10_000, interval_s=10)
    assert len(steps.names) == pytest.approx(1000, rel=0.1)


def test_haunt_that_never_began_mends_nothing() -> None:
    assert haunted(0.001, interval_s=1000).names == []
