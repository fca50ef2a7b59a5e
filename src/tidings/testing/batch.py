"""Many seeds over several processes, and what a batch must have seen to count for anything."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from tidings.testing.cluster_plan import CLUSTER, CLUSTER_EXPECTED
from tidings.testing.plan import CHANCES, JOURNAL_TROUBLES, TROUBLES
from tidings.testing.runs import draw_plan, simulate
from tidings.testing.simulation import Outcome

CHUNK_SEEDS: Final = 10
"""Seeds that a worker process is given at a time."""

VACUOUS_RUNS_MIN: Final = 200
"""From so many runs on, everything that is expected must have happened."""

_EVERYWHERE: Final = (
    *(name for name in (*CHANCES, *TROUBLES) if not name.startswith("message-")),
    "send ok",
    "send info",
    "poll ok",
    "poll info",
    "assign ok",
    "assign fail",
    "crash info",
    "commit_offsets ok",
    "commit_offsets info",
    "list_committed_offsets ok",
    "list_committed_offsets info",
    "message-to-the-dead",
    "call-cut-off",
    "lin-kv cas_ok",
    "lin-kv cas error 11",
)

_BETWEEN_NODES: Final = ("message-lost", "message-doubled", "message-slow", "message-cut-off")

_SERVICES: Final = ("missing read", "seq-kv write_ok", "lin-kv read_ok")

_JOURNAL: Final = (
    *_BETWEEN_NODES,
    *JOURNAL_TROUBLES,
    "call-refused",
    *_SERVICES,
    "send fail",
    "append appended",
    "append occupied",
    "append unsettled",
    "append trimmed",
    "append refused",
    "blob refused",
    "end_offset ok",
    "end_offset info",
    "jumped to a checkpoint",
    "page durable",
    "checkpoint named",
    "blob named",
    "reservation doomed",
    "doomed blob refused",
    "doomed blob stored anew",
    "orphan deleted",
    "checkpoints deleted",
    "submission dropped",
    "trimmed",
    "segment durable",
    "page collected",
    "page rewritten",
    "retention",
    "churn append",
    "churn read",
    "churn delete records",
    "churn delete topic",
)

EXPECTED: Final[dict[str, tuple[str, ...]]] = {
    "journal": (*_EVERYWHERE, *_JOURNAL),
    "gossip": (*_EVERYWHERE, *_BETWEEN_NODES, *_SERVICES),
    "offset-list": (*_EVERYWHERE, "stale read", "seq-kv cas_ok"),
    "naive": _EVERYWHERE,
    CLUSTER: CLUSTER_EXPECTED,
}
"""What must happen at least once in a batch of each design."""


@dataclass(slots=True)
class Batch:
    """What came of many runs of one design."""

    design: str
    run_count: int = 0
    operation_count: int = 0
    simulated_s: float = 0.0
    busy_s: float = 0.0
    """Seconds of CPU, summed over all worker processes."""
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    """What went wrong, by seed."""

    def add(self, other: "Batch") -> None:
        """Take in what another batch brought."""
        self.run_count += other.run_count
        self.operation_count += other.operation_count
        self.simulated_s += other.simulated_s
        self.busy_s += other.busy_s
        self.counts += other.counts
        self.failures |= other.failures

    def add_outcome(self, outcome: Outcome) -> None:
        """Take in what came of one run."""
        self.run_count += 1
        self.operation_count += outcome.operation_count
        self.simulated_s += outcome.simulated_s
        self.counts += outcome.counts
        if outcome.failure is not None:
            self.failures[outcome.plan.seed] = outcome.failure

    def missing(self) -> list[str]:
        """Return what never happened and should have; nothing while the batch is small."""
        if self.run_count < VACUOUS_RUNS_MIN:
            return []
        return [kind for kind in EXPECTED.get(self.design, ()) if not self.counts[kind]]


def run_seeds(design: str, seeds: Sequence[int]) -> Batch:
    """Run seeds one after the other, in this process."""
    batch = Batch(design)
    started = time.process_time()
    for seed in seeds:
        batch.add_outcome(simulate(draw_plan(design, seed)))
    batch.busy_s = time.process_time() - started
    return batch


def run_batch(
    design: str, seeds: range, *, jobs: int, show: Callable[[Batch], None] = lambda _: None
) -> Batch:
    """Run seeds over `jobs` processes; `show` is called with what there is so far."""
    batch = Batch(design)
    chunks = _chunks(seeds)
    if jobs == 1:
        for chunk in chunks:
            batch.add(run_seeds(design, chunk))
            show(batch)
        return batch
    with ProcessPoolExecutor(jobs) as pool:
        # A bounded number of chunks is under way, so that an interrupt ends the batch soon.
        under_way = [pool.submit(run_seeds, design, chunk) for chunk in islice(chunks, 2 * jobs)]
        while under_way:
            batch.add(under_way.pop(0).result())
            show(batch)
            under_way += [pool.submit(run_seeds, design, chunk) for chunk in islice(chunks, 1)]
    return batch


def _chunks(seeds: range) -> Iterator[range]:
    return (seeds[start : start + CHUNK_SEEDS] for start in range(0, len(seeds), CHUNK_SEEDS))
