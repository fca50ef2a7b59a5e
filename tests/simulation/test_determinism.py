"""The same seed gives the same run, event for event, in another process with other hashes."""

import os
import subprocess
import sys

import pytest

from tidings.testing.cluster_plan import CLUSTER
from tidings.testing.plan import CORRECT_DESIGNS
from tidings.testing.runs import draw_plan, simulate

PROGRAM = """
import sys
from tidings.testing.runs import draw_plan, simulate
for seed in range(int(sys.argv[2])):
    print(simulate(draw_plan(sys.argv[1], seed), keep_trace=True).trace.digest())
"""
SEEDS = 4


def digests_in_a_process(design: str, hash_seed: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, design, str(SEEDS)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


@pytest.mark.parametrize("design", [*CORRECT_DESIGNS, CLUSTER])
def test_simulation_in_processes_with_other_hashes_has_the_same_trace(design: str) -> None:
    first = digests_in_a_process(design, 1)
    assert len(first) == SEEDS
    assert len(dict.fromkeys(first)) == SEEDS
    assert digests_in_a_process(design, 2) == first


def test_simulation_with_and_without_a_trace_is_the_same_run() -> None:
    plan = draw_plan("journal", 1)
    assert simulate(plan).counts == simulate(plan, keep_trace=True).counts
