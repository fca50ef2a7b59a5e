"""Looks for a smaller run that still fails: fewer faults, nodes and clients, less time."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tidings.testing.plan import Plan
from tidings.testing.runs import simulate
from tidings.testing.simulation import Outcome


def without(plan: Plan, faults: tuple[str, ...]) -> Plan:
    """Return the plan without these faults."""
    return replace(
        plan,
        chances={name: rate for name, rate in plan.chances.items() if name not in faults},
        intervals_s={name: rate for name, rate in plan.intervals_s.items() if name not in faults},
    )


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Return plans that each are a little smaller."""
    for name in (*plan.intervals_s, *plan.chances):
        yield without(plan, (name,))
    if plan.node_count > 1:
        yield replace(plan, node_count=plan.node_count - 1)
    if plan.client_count > 1:
        yield replace(plan, client_count=plan.client_count // 2)
    yield replace(plan, time_limit_s=plan.time_limit_s / 2)


def shrink(outcome: Outcome, *, tries_max: int, show: Callable[[Plan], None]) -> Outcome:
    """Return the smallest failing run that was found within `tries_max` runs."""
    tries = 0
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for plan in _smaller(outcome.plan):
            if tries >= tries_max:
                return outcome
            tries += 1
            found = simulate(plan)
            if found.failure is not None:
                outcome, is_smaller = found, True
                show(plan)
                break
    return outcome
