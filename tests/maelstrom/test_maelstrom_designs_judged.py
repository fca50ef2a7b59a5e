"""The designs under the kafka workload, in simulation, judged by the project's checker.

A run that fails is repeated by its seed: `simulate(design, seed, …)`.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from simulated_cluster import FINAL_POLLS_S, RECOVERY_S, Intercept, SimulatedCluster, simulate

from tidings.maelstrom.designs import gossip
from tidings.maelstrom.records import TOMBSTONE, Record
from tidings.workbench.network import Message
from tidings.workbench.runner import Outcome
from tidings.workbench.settings import Fault, LatencyDistribution

CORRECT = ["naive", "offset-list", "gossip"]
SEEDS = range(3)
SEEDS_THAT_LEAVE_NODES = (0, 1, 3)
"""In which kills and pauses leave somebody to answer."""
EXPONENTIAL = LatencyDistribution.EXPONENTIAL


def assert_valid(design: str, seed: int, *, ok_share: float, **conditions: Any) -> Outcome:
    """Assert that the run is valid, did something, and read everything in time at its end."""
    verdict, outcome = simulate(design, seed, **conditions)
    found = [anomalies[0].sentence for anomalies in verdict.anomalies.values()]
    assert verdict.valid, found
    sends, polls = verdict.tallies["send"], verdict.tallies["poll"]
    assert sends.ok > 20
    assert polls.ok > 20
    assert sends.ok >= ok_share * (sends.ok + sends.fail + sends.info)
    final_phase_s = outcome.history[-1].time / 1e9 - outcome.main_phase_s
    assert final_phase_s < RECOVERY_S + FINAL_POLLS_S
    return outcome


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("node_count", [1, 2, 5])
@pytest.mark.parametrize("design", CORRECT)
def test_design_without_latency_is_valid(design: str, node_count: int, seed: int) -> None:
    assert_valid(design, seed, ok_share=1, node_count=node_count)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("distribution", [LatencyDistribution.CONSTANT, EXPONENTIAL])
@pytest.mark.parametrize("latency_ms", [10, 100])
@pytest.mark.parametrize("design", CORRECT)
def test_design_with_latency_and_partitions_is_valid(
    design: str, latency_ms: float, distribution: LatencyDistribution, seed: int
) -> None:
    outcome = assert_valid(
        design,
        seed,
        ok_share=0.9,
        node_count=5,
        latency_ms=latency_ms,
        distribution=distribution,
        faults=(Fault.PARTITION,),
        nemesis_interval_s=2,
    )
    assert any(event.f == "start-partition" for event in outcome.history)


@pytest.mark.parametrize("seed", SEEDS_THAT_LEAVE_NODES)
@pytest.mark.parametrize("latency_ms", [0, 10, 100])
@pytest.mark.parametrize("design", CORRECT)
def test_design_with_nodes_killed_and_paused_is_valid(
    design: str, latency_ms: float, seed: int
) -> None:
    outcome = assert_valid(
        design,
        seed,
        ok_share=0.5,
        node_count=5,
        latency_ms=latency_ms,
        distribution=EXPONENTIAL,
        faults=(Fault.KILL, Fault.PAUSE, Fault.PARTITION),
    )
    assert any(event.f == "kill" and event.value for event in outcome.history)
    assert any(event.f == "pause" and event.value for event in outcome.history)


@pytest.mark.parametrize("design", CORRECT)
def test_design_contended_by_many_clients_mostly_succeeds_in_time(design: str) -> None:
    assert_valid(
        design,
        0,
        ok_share=0.9,
        node_count=5,
        workers_per_node=6,
        rate=50,
        time_limit_s=6,
        latency_ms=100,
        distribution=EXPONENTIAL,
        faults=(Fault.PARTITION,),
    )


def without_gossip(cluster: SimulatedCluster, message: Message) -> bool:
    del cluster
    return not message.dest.startswith("n")


@pytest.mark.parametrize("seed", SEEDS)
def test_gossip_that_nobody_hears_is_still_valid(seed: int) -> None:
    assert_valid(
        "gossip", seed, ok_share=0.97, node_count=5, latency_ms=10, intercept=without_gossip
    )


def dies_before_writing(seed: int, *, share: float = 0.05) -> tuple[Intercept, list[str]]:
    """Now and then kill a node that has taken an offset and is about to write its record."""
    rng = Random(f"{seed}/deaths")
    deaths: list[str] = []

    def intercept(cluster: SimulatedCluster, message: Message) -> bool:
        body = msgspec.json.decode(message.body)
        if message.dest != "seq-kv" or body["type"] != "cas" or "msg" not in body["to"]:
            return True
        if asyncio.get_running_loop().time() < 8 and rng.random() < share:
            deaths.append(message.src)
            cluster.crash(message.src)
            return False
        return True

    return intercept, deaths


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("design", ["offset-list", "gossip"])
def test_design_whose_writers_die_before_writing_is_valid(design: str, seed: int) -> None:
    intercept, deaths = dies_before_writing(seed)
    assert_valid(
        design,
        seed,
        ok_share=0.5,
        node_count=5,
        rate=40,
        latency_ms=10,
        distribution=EXPONENTIAL,
        faults=(Fault.KILL,),
        nemesis_interval_s=1,
        intercept=intercept,
    )
    assert deaths


@pytest.mark.parametrize("seed", SEEDS)
def test_local_index_on_one_node_is_valid(seed: int) -> None:
    assert_valid("local-index", seed, ok_share=1, node_count=1, latency_ms=10)


@pytest.mark.parametrize("node_count", [2, 5])
def test_local_index_on_several_nodes_skips_what_was_sent_to_another(node_count: int) -> None:
    verdict, _ = simulate("local-index", 0, node_count=node_count)
    assert not verdict.valid
    assert set(verdict.bad) & {"poll-skip", "int-poll-skip", "unseen"}
    # It is not broken otherwise.
    assert set(verdict.bad) <= {"poll-skip", "int-poll-skip", "unseen", "lost-write"}


def plant_step_over_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    def found_ones(offsets: range, found: dict[int, Record]) -> list[tuple[int, Record]]:
        return [(offset, found[offset]) for offset in offsets if offset in found]

    monkeypatch.setattr(gossip, "gapless", found_ones)


def plant_settle_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    async def settle(design: object, key: str, holes: list[int]) -> dict[int, Record]:
        del design, key
        return dict.fromkeys(holes, TOMBSTONE)

    monkeypatch.setattr(gossip.Gossip, "_settle", settle)
    monkeypatch.setattr("tidings.maelstrom.offset_index.HOLE_PATIENCE_S", 0.0)


def plant_never_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.maelstrom.offset_index.HOLE_PATIENCE_S", 1e9)


PLANTED: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "a poll steps over what it cannot account for": ("gossip", plant_step_over_holes),
    "a hole is taken for settled without asking": ("gossip", plant_settle_without_asking),
    "a hole is never settled": ("gossip", plant_never_settle),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_simulation_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    design, plant = PLANTED[bug]
    plant(monkeypatch)

    def is_found(seed: int) -> bool:
        intercept, _ = dies_before_writing(seed, share=0.1)
        verdict, _ = simulate(
            design,
            seed,
            node_count=5,
            rate=40,
            latency_ms=30,
            distribution=EXPONENTIAL,
            faults=(Fault.KILL,),
            nemesis_interval_s=1,
            intercept=intercept,
        )
        return not verdict.valid

    assert any(is_found(seed) for seed in range(30))
