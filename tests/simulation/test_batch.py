"""A batch proves something only if everything that is expected happened in it."""

import pytest

from tidings.testing.batch import EXPECTED, VACUOUS_RUNS_MIN, Batch, run_batch
from tidings.testing.cluster_plan import CLUSTER, CLUSTER_FAULTS
from tidings.testing.command import change, command_for, replay
from tidings.testing.plan import (
    CHANCES,
    CORRECT_DESIGNS,
    FAULTS,
    JOURNAL_TROUBLES,
    TROUBLES,
    Plan,
)
from tidings.testing.runs import draw_plan, simulate
from tidings.testing.shrink import shrink


def test_batch_in_which_a_kind_never_happened_names_it() -> None:
    batch = Batch("journal", run_count=VACUOUS_RUNS_MIN)
    batch.counts.update(dict.fromkeys(EXPECTED["journal"], 1))
    assert batch.missing() == []
    batch.counts["pause"] = 0
    assert batch.missing() == ["pause"]


def test_batch_that_is_small_may_miss_something() -> None:
    assert Batch("journal", run_count=VACUOUS_RUNS_MIN - 1).missing() == []


def test_batch_over_two_processes_is_that_of_one() -> None:
    alone = run_batch("naive", range(11), jobs=1)
    shared = run_batch("naive", range(11), jobs=2)
    assert (alone.counts, alone.run_count) == (shared.counts, 11)
    assert shared.run_count == 11


def test_every_correct_design_is_expected_to_do_something() -> None:
    assert sorted(EXPECTED) == sorted([*CORRECT_DESIGNS, CLUSTER])


def test_swarm_draws_every_fault_in_some_runs_and_none_in_all() -> None:
    plans = [draw_plan("journal", seed) for seed in range(200)]
    for fault in FAULTS:
        share = sum(fault in plan.chances or fault in plan.intervals_s for plan in plans) / 200
        assert 0.1 < share < 0.9, fault
    assert sorted((*CHANCES, *TROUBLES, *JOURNAL_TROUBLES)) == sorted(FAULTS)


def test_swarm_of_clusters_draws_every_fault_in_some_runs_and_none_in_all() -> None:
    plans = [draw_plan(CLUSTER, seed) for seed in range(200)]
    for fault in CLUSTER_FAULTS:
        share = sum(fault in plan.chances or fault in plan.intervals_s for plan in plans) / 200
        assert 0.1 < share < 0.9, fault


def failing_plan() -> Plan:
    """A design that is wrong, on several nodes: it soon fails."""
    return next(
        plan
        for plan in (draw_plan("local-index", seed) for seed in range(100))
        if plan.node_count > 2 and simulate(plan).failure is not None
    )


def test_shrink_finds_a_smaller_run_whose_command_repeats_it() -> None:
    plan = failing_plan()
    smallest = shrink(simulate(plan), tries_max=12, show=lambda _: None).plan
    assert simulate(smallest).failure is not None
    assert len(smallest.chances) + len(smallest.intervals_s) < len(plan.chances) + len(
        plan.intervals_s
    )
    words = command_for(smallest).split()
    options = dict(zip(words[2::2], words[3::2], strict=True))
    limit = options.get("--time-limit")
    repeated = change(
        draw_plan(options["--design"], int(options["--seed"])),
        spared=tuple(options["--without"].split(",")),
        node_count=int(options.get("--node-count", 0)) or None,
        client_count=int(options.get("--clients", 0)) or None,
        time_limit_s=None if limit is None else float(limit),
    )
    assert repeated == smallest


def test_failure_within_tasks_ends_with_what_went_wrong() -> None:
    failure = simulate(draw_plan("local-index", 1)).failure
    assert failure is not None
    assert failure.splitlines()[-1].startswith("AssertionError: no progress: not within 60 s: n")


@pytest.mark.parametrize("traces", [False, True])
def test_replay_of_a_run_that_fails_says_how_to_repeat_it(*, traces: bool) -> None:
    said: list[str] = []
    plan = failing_plan()
    assert replay(plan, shrinks=False, traces=traces, say=said.append) == 1
    assert said[-1] == f"FAILED. To repeat it: {command_for(plan)}"
    assert any("poll ok" in line and line.startswith("   ") for line in said)
