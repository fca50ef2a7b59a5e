from random import Random

import pytest

from tidings.workbench.partitions import (
    PARTITIONS,
    Unheard,
    bridge,
    deafen,
    halve,
    isolate_one,
    ring_of_majorities,
)
from tidings.workbench.settings import PartitionKind

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


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_bridge_lets_one_node_hear_both_sides(seed: int) -> None:
    unheard = bridge(NODES, Random(seed))
    sizes = sorted(len(senders) for senders in unheard.values())
    assert sizes == [0, 2, 2, 2, 2]
    assert is_mutual(unheard)


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_one_way_is_heard_by_those_who_are_not_heard(seed: int) -> None:
    unheard = deafen(NODES, Random(seed))
    deaf = [node for node in NODES if unheard[node]]
    assert 1 <= len(deaf) <= 2
    for node in deaf:
        assert sorted(unheard[node]) == [other for other in NODES if other not in deaf]


@pytest.mark.parametrize("kind", PartitionKind)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_partition_any_number_of_nodes_never_unheard_by_itself(
    kind: PartitionKind, count: int
) -> None:
    nodes = [f"n{index}" for index in range(count)]
    unheard = PARTITIONS[kind](nodes, Random(count))
    assert all(node not in senders for node, senders in unheard.items())


@pytest.mark.parametrize("kind", PartitionKind)
def test_partition_every_kind_cuts_three_nodes(kind: PartitionKind) -> None:
    assert any(PARTITIONS[kind](NODES[:3], Random(0)).values())
