"""What `tidings sim` does: replays one seed, or runs many and says what happened."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tidings.testing.batch import Batch, run_batch
from tidings.testing.plan import Plan
from tidings.testing.runs import ALL_FAULTS, draw_plan, simulate
from tidings.testing.shrink import shrink, without
from tidings.testing.simulation import Outcome

SHRINK_TRIES: Final = 200

FAILURES_SHOWN_MAX: Final = 20

Say = Callable[[str], None]


def change(
    plan: Plan,
    *,
    spared: tuple[str, ...],
    node_count: int | None,
    client_count: int | None,
    time_limit_s: float | None,
) -> Plan:
    """Return the plan without some faults, and with what else is given."""
    plan = without(plan, spared)
    return replace(
        plan,
        node_count=node_count or plan.node_count,
        client_count=client_count or plan.client_count,
        time_limit_s=time_limit_s or plan.time_limit_s,
    )


def command_for(plan: Plan) -> str:
    """Return the command that repeats a run."""
    drawn = draw_plan(plan.design, plan.seed)
    words = ["tidings sim", f"--design {plan.design}", f"--seed {plan.seed}"]
    kept = (*plan.chances, *plan.intervals_s)
    gone = [name for name in (*drawn.chances, *drawn.intervals_s) if name not in kept]
    if gone:
        words.append(f"--without {','.join(gone)}")
    if plan.node_count != drawn.node_count:
        words.append(f"--node-count {plan.node_count}")
    if plan.client_count != drawn.client_count:
        words.append(f"--clients {plan.client_count}")
    if plan.time_limit_s != drawn.time_limit_s:
        words.append(f"--time-limit {plan.time_limit_s!r}")
    return " ".join(words)


def replay(plan: Plan, *, shrinks: bool, traces: bool, say: Say) -> int:
    """Run one plan and show it; return the exit status."""
    outcome = simulate(plan, keep_trace=traces)
    if outcome.failure is not None and shrinks:
        say("it fails; looking for a smaller run that does")
        tell: Callable[[Plan], None] = lambda plan: say(f"  {command_for(plan)}")  # noqa: E731
        smallest = shrink(outcome, tries_max=SHRINK_TRIES, show=tell)
        outcome = simulate(smallest.plan, keep_trace=traces)
    for line in outcome.trace.lines:
        say(line)
    _describe(outcome, say)
    return 0 if outcome.failure is None else 1


def _describe(outcome: Outcome, say: Say) -> None:
    plan = outcome.plan
    place = "services" if plan.on_services else "stores in memory"
    say("")
    say(f"{plan.node_count} nodes on {place}, {plan.client_count} clients")
    say(f"latency {plan.latency} {1000 * plan.latency_s:.1f} ms; {plan.settings}")
    _say_counts(outcome.counts, say)
    say(f"{outcome.operation_count} operations in {outcome.simulated_s:.1f} simulated seconds")
    if outcome.trace.is_kept:
        say(f"trace {outcome.trace.digest()}")
    if outcome.failure is None:
        say("valid")
    else:
        say(outcome.failure)
        say(f"FAILED. To repeat it: {command_for(plan)}")


def run_many(design: str, seeds: range, *, jobs: int | None, say: Say, progress: Say) -> int:
    """Run many seeds and show what came of them; return the exit status."""

    def show(batch: Batch) -> None:
        progress(f"{design}: {batch.run_count} of {len(seeds)} runs, {len(batch.failures)} failed")

    batch = run_batch(design, seeds, jobs=jobs or os.cpu_count() or 1, show=show)
    _say_counts(batch.counts, say)
    hours = batch.simulated_s / 3600
    speed = batch.operation_count / batch.busy_s
    say(
        f"{design}: {batch.run_count} runs, {hours:.1f} simulated hours, "
        f"{batch.operation_count} client operations, {speed:.0f} a second of CPU"
    )
    for seed, failure in list(batch.failures.items())[:FAILURES_SHOWN_MAX]:
        say(f"FAILED: {_last_line(failure)}\n  tidings sim --design {design} --seed {seed}")
    missing = batch.missing()
    if missing:
        say(f"never happened, so the batch proves little: {', '.join(missing)}")
    say(f"{len(batch.failures)} of {batch.run_count} runs failed")
    return 1 if batch.failures or missing else 0


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def _say_counts(counts: dict[str, int], say: Say) -> None:
    faults = [name for name in ALL_FAULTS if counts.get(name)]
    others = sorted(name for name in counts if name not in ALL_FAULTS and counts[name])
    for title, names in (("faults", faults), ("operations and outcomes", others)):
        say(f"{title}:")
        for name in names:
            say(f"  {counts[name]:>9}  {name}")
