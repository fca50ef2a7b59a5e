"""The engine under faults of one kind at a time: many seeds of small worlds, simulated and judged.

Every run also ends with all nodes serving everything that was acknowledged, within bounded time.
"""

from collections import Counter
from typing import Any

from tidings.core.pages import PAGE_SLOTS
from tidings.engine.settings import Settings
from tidings.testing.plan import CHANCES, TROUBLES, Plan
from tidings.testing.simulation import simulate

TINY = Settings(
    submission_operations_max=2,
    entry_cache_bytes=1,
    page_cache_bytes=1,
    blob_cache_bytes=1,
    index_entries_max=0,
    ahead_slots_max=2,
    submission_window_slots=2,
    fetch_batches_max=20,
    checkpoint_pages=1,
    linger_s=0.0,
)
"""Settings that make every bound bite."""

NEAR_A_PAGES_END = PAGE_SLOTS - 5

BAD_WEATHER: dict[str, Any] = {
    "latency": "exponential",
    "latency_s": 0.01,
    "chances": {
        name: {"append": 0.1, "call": 0.01, "message": 0.1, "crash": 0.002}[name.split("-")[0]]
        for name in CHANCES
    },
}
EVERY_TROUBLE = dict.fromkeys(TROUBLES, 3.0)


def run_seeds(count: int, expected: tuple[str, ...] = (), **conditions: Any) -> None:
    """Run worlds of many seeds; each kind of trouble that is expected came up at least once."""
    happened: Counter[str] = Counter()
    defaults = {"on_services": False, "client_count": 6, "call_timeout_s": 0.5}
    for seed in range(count):
        plan = Plan(design="journal", seed=seed, **(defaults | conditions))
        outcome = simulate(plan)
        assert outcome.failure is None, f"{plan}\n{outcome.failure}"
        happened += outcome.counts
    assert not [trouble for trouble in (*expected, "send ok", "poll ok") if not happened[trouble]]


def test_world_in_calm_weather_is_valid() -> None:
    run_seeds(8)


def test_world_with_a_single_node_is_valid() -> None:
    run_seeds(8, node_count=1)


def test_world_far_from_its_stores_is_valid() -> None:
    run_seeds(10, node_count=5, latency="exponential", latency_s=0.1)


def test_world_with_constant_latency_is_valid() -> None:
    run_seeds(10, node_count=5, latency="constant", latency_s=0.1)


def test_world_where_appends_are_mostly_unsettled_is_valid() -> None:
    chances = {"append-dropped": 0.2, "append-unanswered": 0.3, "append-late": 0.2}
    run_seeds(12, tuple(chances), latency="exponential", latency_s=0.01, chances=chances)


def test_world_with_partitions_is_valid() -> None:
    kinds = dict.fromkeys(("halves", "one-way", "bridge", "alone"), 2.0)
    run_seeds(12, (*kinds, "message-cut-off"), node_count=5, intervals_s=kinds)


def test_world_whose_nodes_crash_is_valid() -> None:
    run_seeds(12, ("crash", "crash-all"), intervals_s={"crash": 1.0, "crash-all": 2.0})


def test_world_whose_nodes_die_around_a_call_is_valid() -> None:
    chances = {"crash-before-call": 0.02, "crash-after-call": 0.02}
    run_seeds(12, tuple(chances), chances=chances, inline_bytes_max=-1)


def test_world_whose_nodes_pause_is_valid() -> None:
    run_seeds(12, ("pause",), intervals_s={"pause": 1.0}, trouble_s=3.0)


def test_world_where_gossip_is_lost_doubled_and_late_is_valid() -> None:
    chances = {"message-lost": 0.3, "message-doubled": 0.3, "message-slow": 0.3}
    run_seeds(12, tuple(chances), latency="exponential", latency_s=0.05, chances=chances)


def test_world_without_gossip_is_valid() -> None:
    run_seeds(12, latency="exponential", latency_s=0.01, settings=Settings(gossip=False))


def test_world_with_every_trouble_is_valid() -> None:
    run_seeds(20, tuple(TROUBLES), intervals_s=EVERY_TROUBLE, **BAD_WEATHER)


def test_world_with_every_trouble_but_no_gossip_is_valid() -> None:
    settings = Settings(gossip=False)
    run_seeds(12, tuple(TROUBLES), intervals_s=EVERY_TROUBLE, settings=settings, **BAD_WEATHER)


def test_world_with_tiny_bounds_is_valid() -> None:
    run_seeds(
        5, ("page durable",), settings=TINY, inline_bytes_max=2, filled_slots=NEAR_A_PAGES_END
    )


def test_world_whose_journal_is_trimmed_is_valid() -> None:
    run_seeds(
        8,
        ("trimmed", "jumped to a checkpoint", "pause", "crash-all"),
        intervals_s={"pause": 2.0, "crash-all": 3.0},
        settings=TINY,
        inline_bytes_max=-1,
        filled_slots=NEAR_A_PAGES_END,
        trims=True,
        **BAD_WEATHER,
    )


def test_world_with_tiny_bounds_and_every_trouble_is_valid() -> None:
    run_seeds(
        12,
        tuple(TROUBLES),
        intervals_s=EVERY_TROUBLE,
        settings=TINY,
        inline_bytes_max=2,
        filled_slots=NEAR_A_PAGES_END,
        **BAD_WEATHER,
    )
