"""The designs as real processes under the workload: all but one are valid, also with faults."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tidings.types import Json

pytestmark = pytest.mark.real

CLI = (sys.executable, "-m", "tidings")

SHORT = ("--time-limit", "6", "--nemesis-interval", "2", "--recovery-time", "3")


def run_challenge(store: Path, *options: str) -> Json:
    """Carry out a run and return its results."""
    command = [*CLI, "challenge", "--store", str(store), *SHORT, *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    return msgspec.json.decode((store / "results.json").read_bytes())


def assert_valid(results: Json) -> None:
    """The run is valid, and something was done. How much depends on the machine."""
    assert results["verdict"]["bad"] == [], results["verdict"]["anomalies"]
    for kind in ("send", "poll"):
        assert results["verdict"]["tallies"][kind]["ok"] > 0, results["verdict"]["tallies"]


@pytest.mark.parametrize("design", ["naive", "offset-list", "gossip", "journal"])
def test_design_with_latency_and_partitions_is_valid(design: str, tmp_path: Path) -> None:
    options = "--node-count 5 --concurrency 2n --rate 60 --latency 10 --nemesis partition"
    results = run_challenge(tmp_path, "--design", design, *options.split())
    assert_valid(results)
    if design in ("gossip", "journal"):  # nodes of the others do not talk to each other
        assert results["messages"]["lost"] > 0, "the partitions cut nobody off"


@pytest.mark.parametrize("design", ["gossip", "journal"])
def test_design_whose_nodes_are_killed_and_paused_is_valid(design: str, tmp_path: Path) -> None:
    # This seed leaves some node alive at all times: clients of dead ones wait out their time limit.
    options = "--node-count 3 --concurrency 2n --rate 60 --latency 2 --nemesis kill,pause --seed 5"
    assert_valid(run_challenge(tmp_path, "--design", design, *options.split()))
    history = (tmp_path / "history.jsonl").read_text()
    for fault in ("kill", "pause"):
        assert f'"f":"{fault}","value":["n' in history


def test_journal_without_gossip_is_valid(tmp_path: Path) -> None:
    options = "--node-count 3 --concurrency 2n --rate 60 --latency 5"
    node = ("--bin", sys.executable, "--", "-m", "tidings", "maelstrom", "--no-gossip")
    results = run_challenge(tmp_path, *options.split(), *node)
    assert_valid(results)
    assert results["messages"]["by_peer"]["nodes"] == 0


def test_local_index_skips_what_went_through_another_node(tmp_path: Path) -> None:
    options = "--node-count 2 --concurrency 2n --rate 100"
    results = run_challenge(tmp_path, "--design", "local-index", *options.split())
    found = set(results["verdict"]["bad"])
    assert found & {"poll-skip", "int-poll-skip", "unseen"}, results["verdict"]
