"""Simulated runs of every correct design: a fixed corpus, seeds that once failed, fresh seeds.

A run that fails says the command that repeats it.
"""

import random
from pathlib import Path

import pytest

from tidings.testing.batch import run_seeds
from tidings.testing.cluster_plan import CLUSTER
from tidings.testing.plan import CORRECT_DESIGNS

SEEDS = Path(__file__).with_name("seeds.txt")
CORPUS_SEEDS = 30
CHUNKS = 2
FRESH_SEEDS = 10


def assert_valid(design: str, seeds: list[int]) -> None:
    batch = run_seeds(design, seeds)
    told = [
        f"tidings sim --design {design} --seed {seed}\n{failure}"
        for seed, failure in batch.failures.items()
    ]
    assert not told, "\n\n".join(told)
    assert batch.counts["send ok"]
    assert batch.counts["poll ok"]


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("design", [*CORRECT_DESIGNS, CLUSTER])
def test_simulation_of_the_corpus_is_valid(design: str, chunk: int) -> None:
    assert_valid(design, list(range(chunk, CORPUS_SEEDS, CHUNKS)))


@pytest.mark.parametrize("design", [*CORRECT_DESIGNS, CLUSTER])
def test_simulation_of_fresh_seeds_is_valid(design: str) -> None:
    fresh = random.SystemRandom()
    seeds = [fresh.randrange(2**32) for _ in range(FRESH_SEEDS)]
    assert_valid(design, seeds)


@pytest.mark.parametrize("line", [x for x in SEEDS.read_text().splitlines() if x[0] != "#"])
def test_simulation_of_a_seed_that_once_failed_is_valid(line: str) -> None:
    design, seed, _reason = line.split(maxsplit=2)
    assert_valid(design, [int(seed)])
