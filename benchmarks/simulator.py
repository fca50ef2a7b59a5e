"""How many client operations the simulator carries out in a second, and where the time goes.

Three nodes of `journal`, ten clients, every fault; the seed draws the rates and all else.
"""

import cProfile
import pstats
import time
from collections import Counter
from dataclasses import replace

from tidings.testing.plan import CHANCES, TROUBLES, Plan, draw_plan
from tidings.testing.simulation import simulate

SEEDS = range(120)
PROFILED_SEEDS = range(30)

CHANCE = 0.005
TROUBLE_INTERVAL_S = 5.0
"""What a run gets of each fault that its seed would spare it."""

LAYERS = ("testing", "workbench", "checker", "maelstrom", "stores", "engine", "core")


def plan(seed: int) -> Plan:
    """Return the run of a seed, with the faults that it would be spared."""
    drawn = draw_plan("journal", seed)
    return replace(
        drawn,
        node_count=3,
        client_count=10,
        chances={name: drawn.chances.get(name, CHANCE) for name in CHANCES},
        intervals_s={name: drawn.intervals_s.get(name, TROUBLE_INTERVAL_S) for name in TROUBLES},
    )


def run(seeds: range) -> int:
    """Run seeds; return how many operations clients asked for."""
    count = 0
    for seed in seeds:
        outcome = simulate(plan(seed))
        assert outcome.failure is None, f"seed {seed}: {outcome.failure}"
        count += outcome.operation_count
    return count


def layer_of(file: str) -> str:
    """Return the part of the system that a source file belongs to."""
    for layer in LAYERS:
        if f"tidings/{layer}/" in file:
            return layer
    return "asyncio and other libraries"


def profile() -> Counter[str]:
    """Return the seconds that each layer takes, what it calls of C included."""
    profiler = cProfile.Profile()
    profiler.runcall(run, PROFILED_SEEDS)
    seconds: Counter[str] = Counter()
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # typeshed lacks it
    for (file, _, _), (*_, own_s, _, callers) in stats.items():
        if file != "~":
            seconds[layer_of(file)] += own_s
            continue
        for (caller, _, _), called in callers.items():
            seconds[layer_of(caller)] += called[2]
    return seconds


def main() -> None:
    """Measure, then profile."""
    started_s = time.process_time()
    count = run(SEEDS)
    took_s = time.process_time() - started_s
    print(f"{len(SEEDS)} runs, {count} client operations, {count / took_s:.0f} a second of CPU")
    seconds = profile()
    for layer, spent_s in seconds.most_common():
        print(f"{100 * spent_s / seconds.total():5.1f} %  {layer}")


if __name__ == "__main__":
    main()
