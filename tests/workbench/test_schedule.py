from itertools import pairwise
from random import Random

import pytest
from in_process import make_settings

from tidings.workbench.schedule import plan_fault, some_nodes
from tidings.workbench.settings import Fault, PartitionKind

NODES = ["n0", "n1", "n2", "n3", "n4"]


def test_some_nodes_range_from_one_to_all() -> None:
    sizes = {len(some_nodes(NODES, Random(seed))) for seed in range(100)}
    assert sizes == {1, 2, 3, 4, 5}
    assert some_nodes(["n0"], Random(0)) == ["n0"]


@pytest.mark.parametrize("fault", Fault)
def test_schedule_follows_from_the_seed_alone(fault: Fault) -> None:
    def plan(seed: int) -> object:
        return plan_fault(fault, make_settings(seed=seed, time_limit_s=200.0))

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


@pytest.mark.parametrize("fault", Fault)
def test_schedule_spells_do_not_overlap_and_begin_in_time(fault: Fault) -> None:
    spells = plan_fault(fault, make_settings(time_limit_s=200.0, nemesis_interval_s=2.0))
    times_s = [time_s for spell in spells for time_s in (spell.begin_s, spell.end_s)]
    assert all(before <= after for before, after in pairwise(times_s))
    assert spells[-1].begin_s < 200.0


def test_schedule_steps_at_the_asked_interval_on_average() -> None:
    settings = make_settings(time_limit_s=10_000.0, nemesis_interval_s=10.0)
    assert len(plan_fault(Fault.LOSS, settings)) == pytest.approx(500, rel=0.1)


def test_schedule_draws_only_the_asked_kinds_of_partitions() -> None:
    settings = make_settings(
        time_limit_s=1000.0, partition_kinds=(PartitionKind.ONE,), node_count=5
    )
    for spell in plan_fault(Fault.PARTITION, settings):
        assert sorted(len(senders) for senders in spell.target.values()) == [1, 1, 1, 1, 4]


def test_schedule_mixes_all_kinds_of_partitions_by_default() -> None:
    spells = plan_fault(Fault.PARTITION, make_settings(time_limit_s=2000.0, node_count=5))
    shapes = {tuple(sorted(len(senders) for senders in spell.target.values())) for spell in spells}
    assert {(1, 1, 1, 1, 4), (2, 2, 2, 3, 3), (0, 2, 2, 2, 2), (2, 2, 2, 2, 2)} <= shapes


def test_schedule_of_two_nodes_draws_only_partitions_that_cut_them() -> None:
    settings = make_settings(time_limit_s=1000.0, node_count=2)
    assert all(any(s.target.values()) for s in plan_fault(Fault.PARTITION, settings))
