"""Fails the N-th call of a run, for N = 1, 2, 3 … until a run makes fewer calls than that.

Seeds may miss the one call that must not be lost; a sweep misses none. A call is one of a node to
a store, or a message to another node; of a message that takes effect nobody misses an answer.

Source: SQLite's anomaly tests, which let allocations and I/O fail so.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from tidings.testing.plan import FailingCall, Plan
from tidings.testing.simulation import Outcome, simulate
from tidings.testing.weather import FAILING_CALL


def sweep(plan: Plan, *, takes_effect: bool, is_for_good: bool) -> Iterator[Outcome]:
    """Yield what came of each run in which a call failed; see `FailingCall`."""
    for number in count(1):
        failing = FailingCall(number, takes_effect, is_for_good)
        outcome = simulate(replace(plan, failing_call=failing))
        if not outcome.counts[FAILING_CALL]:
            return
        yield outcome
