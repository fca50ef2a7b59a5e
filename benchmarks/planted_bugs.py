"""Shows for each planted bug of `tests/simulation` in how many seeds it is caught.

With words, only those are tried that have one of the words in their name:

    python benchmarks/planted_bugs.py rewritten rewriting
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "simulation"))

from cluster_mutants import CLUSTER_MUTANTS
from mutants import MUTANTS
from planting import Mutant, failing_seeds

SEEDS_MAX = (20, 100, 400)
"""How many seeds are tried; more only while none has caught the bug."""

JOBS = 2

ALL = [*MUTANTS, *CLUSTER_MUTANTS]


def catch(mutant: Mutant) -> str:
    """Return in words in how many seeds a bug is caught; it begins with NOT if in none."""
    for count in SEEDS_MAX:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "src"
            caught = failing_seeds(mutant, range(count), copy, stops_at_first=False)
        if caught is None:
            return "a run never ends"
        if caught:
            return f"{len(caught):3} of {count:3} seeds, first {caught[0]}"
    return f"NOT in {SEEDS_MAX[-1]} seeds"


def main() -> int:
    """Try all bugs; return how many were not caught."""
    words = sys.argv[1:]
    tried = [each for each in ALL if not words or any(word in each.what for word in words)]
    escaped = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for mutant, found in zip(tried, pool.map(catch, tried), strict=True):
            escaped += found.startswith("NOT")
            print(f"{found:28}  {mutant.design:12} {mutant.what}", flush=True)
    print(f"{len(tried) - escaped} of {len(tried)} planted bugs are caught")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
