"""Runs of every kind: nodes of a design, and clusters of brokers."""

from typing import Final

from tidings.testing import simulation
from tidings.testing.cluster_plan import CLUSTER, CLUSTER_FAULTS, ClusterPlan, draw_cluster
from tidings.testing.cluster_simulation import simulate_cluster
from tidings.testing.plan import FAULTS, Plan
from tidings.testing.plan import draw_plan as draw_nodes
from tidings.testing.simulation import Outcome

ALL_FAULTS: Final = tuple(dict.fromkeys((*FAULTS, *CLUSTER_FAULTS)))


def draw_plan(design: str, seed: int) -> Plan:
    """Return the run that belongs to a seed; `design` may be "cluster"."""
    return draw_cluster(seed) if design == CLUSTER else draw_nodes(design, seed)


def simulate(plan: Plan, *, keep_trace: bool = False) -> Outcome:
    """Carry out a run and judge it; never raises for what goes wrong in it."""
    if isinstance(plan, ClusterPlan):
        return simulate_cluster(plan, keep_trace=keep_trace)
    return simulation.simulate(plan, keep_trace=keep_trace)
