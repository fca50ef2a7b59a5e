"""The engine under faults: many seeds of small worlds, each judged like the kafka workload.

Every run also ends with all nodes serving everything that was acknowledged, within bounded time.
"""

from collections import Counter
from typing import Any

from faulty_ports import Chances
from world import Plan, run_world

from tidings.engine.settings import Settings

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

EVERYTHING = ("partition", "crash", "crash all", "pause")


def weather(**changed: Any) -> Chances:
    """Bad weather for stores and network."""
    chances = {
        "latency_s": 0.01,
        "request_lost": 0.03,
        "reply_lost": 0.03,
        "message_lost": 0.1,
        "message_doubled": 0.1,
    }
    return Chances(**(chances | changed))


def run_seeds(count: int, expected: tuple[str, ...] = (), **plan: Any) -> None:
    """Run worlds of many seeds; each kind of trouble that is expected came up at least once."""
    happened: Counter[str] = Counter()
    for seed in range(count):
        chances = plan.get("chances", Chances)()
        happened += run_world(Plan(seed=seed, **(plan | {"chances": chances}))).happened
    assert not [trouble for trouble in expected if not happened[trouble]], happened


def test_world_in_calm_weather_is_valid() -> None:
    run_seeds(8)


def test_world_with_a_single_node_is_valid() -> None:
    run_seeds(8, node_count=1)


def test_world_far_from_its_stores_is_valid() -> None:
    run_seeds(10, node_count=5, chances=lambda: Chances(latency_s=0.1))


def test_world_with_constant_latency_is_valid() -> None:
    run_seeds(10, node_count=5, chances=lambda: Chances(latency_s=0.1, is_constant=True))


def test_world_where_appends_are_mostly_unsettled_is_valid() -> None:
    run_seeds(
        12,
        ("request lost", "reply lost", "late call"),
        chances=lambda: Chances(latency_s=0.01, request_lost=0.2, reply_lost=0.3),
    )


def test_world_with_partitions_is_valid() -> None:
    run_seeds(12, ("message cut off",), node_count=5, nemesis=["partition"])


def test_world_whose_nodes_crash_is_valid() -> None:
    run_seeds(12, ("crash", "crash all"), nemesis=["crash", "crash", "crash all"])


def test_world_whose_nodes_pause_is_valid() -> None:
    run_seeds(12, ("pause",), nemesis=["pause"], nemesis_interval_s=2.0)


def test_world_where_gossip_is_lost_doubled_and_late_is_valid() -> None:
    run_seeds(
        12,
        ("message lost", "message doubled"),
        chances=lambda: Chances(latency_s=0.05, message_lost=0.3, message_doubled=0.3),
    )


def test_world_without_gossip_is_valid() -> None:
    run_seeds(12, chances=lambda: Chances(latency_s=0.01), settings=Settings(gossip=False))


def test_world_with_every_trouble_is_valid() -> None:
    run_seeds(20, EVERYTHING, chances=weather, nemesis=EVERYTHING)


def test_world_with_every_trouble_but_no_gossip_is_valid() -> None:
    run_seeds(12, EVERYTHING, chances=weather, nemesis=EVERYTHING, settings=Settings(gossip=False))


def test_world_with_tiny_bounds_is_valid() -> None:
    run_seeds(5, settings=TINY, inline_bytes_max=2, filled_slots=200)


def test_world_whose_journal_is_trimmed_is_valid() -> None:
    run_seeds(
        8,
        ("trimmed", "pause", "crash all"),
        chances=weather,
        nemesis=["pause", "crash all"],
        settings=TINY,
        inline_bytes_max=-1,
        filled_slots=250,
        trims=True,
    )


def test_world_with_tiny_bounds_and_every_trouble_is_valid() -> None:
    run_seeds(
        12,
        EVERYTHING,
        chances=weather,
        nemesis=EVERYTHING,
        settings=TINY,
        inline_bytes_max=2,
        filled_slots=200,
    )
