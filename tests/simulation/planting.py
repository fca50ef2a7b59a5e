"""Puts a bug into a copy of the source, and looks in which seeds the simulator catches it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[2] / "src"

SEEDS_TIMEOUT_S = 1200.0
"""Only for a bug that spins without ever awaiting: the simulator itself ends every other run."""


class Mutant(NamedTuple):
    """A bug."""

    what: str
    file: str
    old: str
    """What stands in the file, exactly once."""
    new: str
    design: str = "journal"


PROGRAM = """
import sys
from tidings.testing.runs import draw_plan, simulate
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    if simulate(draw_plan(sys.argv[1], seed)).failure is not None:
        print(seed, flush=True)
        if len(sys.argv) > 4:
            break
"""


def plant(mutant: Mutant, directory: Path) -> None:
    """Make a copy of the source with the bug in it."""
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    file = directory / "tidings" / mutant.file
    file.write_text(file.read_text().replace(mutant.old, mutant.new))


def failing_seeds(
    mutant: Mutant, seeds: range, directory: Path, *, stops_at_first: bool
) -> Sequence[int] | None:
    """Return the seeds in which a planted bug is caught; None if the runs do not end."""
    plant(mutant, directory)
    bounds = [str(seeds.start), str(seeds.stop)]
    arguments = [mutant.design, *bounds, *(["stop"] if stops_at_first else [])]
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env={**os.environ, "PYTHONPATH": str(directory)},
            capture_output=True,
            text=True,
            check=True,
            timeout=SEEDS_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    return [int(seed) for seed in done.stdout.split()]
