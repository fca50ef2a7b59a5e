"""Planted bugs are still where the list says, and the cheapest of them are caught."""

from pathlib import Path

import pytest
from cluster_mutants import CLUSTER_MUTANTS
from mutants import MUTANTS
from planting import SOURCE, Mutant, failing_seeds

ALL = [*MUTANTS, *CLUSTER_MUTANTS]
NAMES = [f"{mutant.design}: {mutant.what}" for mutant in ALL]
CHEAP = [
    mutant
    for mutant in ALL
    if "results go to the wrong" in mutant.what
    or "`naive`" in mutant.what
    or "nothing had been missed" in mutant.what
    or "says of no commit" in mutant.what
]
SEEDS = 40


@pytest.mark.parametrize("mutant", ALL, ids=NAMES)
def test_planted_bug_is_one_place_in_the_source(mutant: Mutant) -> None:
    text = (SOURCE / "tidings" / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new


@pytest.mark.parametrize("mutant", CHEAP, ids=lambda mutant: mutant.what)
def test_planted_bug_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    assert failing_seeds(mutant, range(SEEDS), tmp_path / "src", stops_at_first=True)


def test_planted_bugs_are_many_and_different() -> None:
    assert len(MUTANTS) >= 20
    assert len(dict.fromkeys(NAMES)) == len(ALL)
