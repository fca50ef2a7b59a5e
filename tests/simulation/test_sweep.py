"""No call is so important that a cluster could not do without it, or without its answer."""

import pytest

from tidings.engine.settings import Settings
from tidings.testing.plan import Plan
from tidings.testing.simulation import simulate
from tidings.testing.sweep import sweep

ON_SERVICES = Plan(
    design="journal",
    seed=2,
    node_count=2,
    client_count=2,
    operation_interval_s=0.05,
    call_timeout_s=0.2,
    client_timeout_s=1.0,
    time_limit_s=0.3,
)
WITH_UPKEEP = Plan(
    design="journal",
    seed=1,
    on_services=False,
    node_count=2,
    client_count=1,
    operation_interval_s=0.04,
    call_timeout_s=0.2,
    client_timeout_s=1.0,
    time_limit_s=0.3,
    intervals_s={"crash": 0.15},
    trouble_s=0.05,
    settings=Settings(checkpoint_pages=1),
    inline_bytes_max=2,
    filled_slots=6,
    page_slots=8,
    trims=True,
)
"""A page ends, a checkpoint is named, slots are trimmed, and a node that died comes back."""

PLANS = {"on services": ON_SERVICES, "with upkeep": WITH_UPKEEP}


@pytest.mark.parametrize("is_for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("takes_effect", [False, True], ids=["not done", "done"])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_sweep_whose_every_call_fails_is_valid(
    plan: Plan, *, takes_effect: bool, is_for_good: bool
) -> None:
    run_count = 0
    for outcome in sweep(plan, takes_effect=takes_effect, is_for_good=is_for_good):
        assert outcome.failure is None, f"{outcome.plan}\n{outcome.failure}"
        run_count += 1
    assert run_count > 20


def test_sweep_with_upkeep_has_everything_in_it() -> None:
    counts = simulate(WITH_UPKEEP).counts
    for kind in (
        "page durable",
        "segment durable",
        "checkpoint named",
        "trimmed",
        "jumped to a checkpoint",
        "crash",
    ):
        assert counts[kind], kind
