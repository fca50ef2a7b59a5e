"""The benchmark of a cluster: what it computes from what it saw, and that it runs."""

import contextlib
import subprocess
import sys
from pathlib import Path

import databases
import pytest
from obtaining import obtained
from table import Table

from cluster import limited, stacks, tuned, tuning, watching
from tidings.kafka.cluster import storage
from tidings.stores.etcd.order import EtcdOrderStore
from tidings.stores.postgres.order import PostgresOrderStore

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
LOOK_AGAIN_S = 0.05


def test_table_shows_medians_and_ratios_to_its_reference() -> None:
    table = Table(["a", "floor"], "floor")
    for figure in (1.0, 30.0, 3.0):
        table.add("a", {"latency": figure})
    table.add("floor", {"latency": 1.5})
    table.add("a", {"only here": 2.0})
    assert table.markdown().splitlines()[2:] == [
        "| latency | 3 (2x) | 1.5 |",
        "| only here | 2 | - |",
    ]
    assert table.median("latency", "a") == 3
    assert table.median("latency", "nowhere") is None


def test_figures_for_1000_batches_count_what_came_between_two_looks() -> None:
    before = {("calls", "order", "append"): 10.0, ("bytes", "order", "append"): 1e6}
    after = {
        ("calls", "order", "append"): 30.0,
        ("bytes", "order", "append"): 5e6,
        ("bytes", "order", "read"): 1e6,
        ("calls", "order", "read"): 0.0,
    }
    calls = watching.difference(after, before)
    assert watching.for_1000(500, watching.asked(calls)) == {
        "order append, calls": 40,
        "order, kB there and back": 10_000,
    }


def cores(brokers: float, nobody: float, appending: float) -> dict[str, float]:
    return {
        watching.cores_of("brokers"): brokers,
        watching.cores_of("etcd"): 0.3,
        watching.cores_of(watching.NOBODY): nobody,
        watching.APPENDING: appending,
    }


@pytest.mark.parametrize(
    ("found", "limit"),
    [
        (
            cores(1.2, 0.1, 0.5),
            "the cores of this machine: 0.10 of 2 were idle; most of them, 1.20",
        ),
        (cores(0.2, 0.1, 0.5), "0.30, were cores of etcd"),
        (cores(1.2, 0.1, 0.95), "the order store: an append was on its way"),
        (cores(0.6, 1.0, 0.5), "neither cores (1.00 of 2 were idle"),
    ],
)
def test_what_was_saturated_is_told(found: dict[str, float], limit: str) -> None:
    assert limit in watching.saturated(found, 2)


def test_order_store_that_uses_all_that_it_may_is_what_was_saturated() -> None:
    table = Table(limited.columns(stacks.ETCD), "")
    table.add("0.15 cores", cores(0.3, 1.2, 0.8) | {watching.cores_of(stacks.ETCD): 0.149})
    table.add("0.3 cores", cores(0.6, 0.9, 0.7) | {watching.cores_of(stacks.ETCD): 0.2})
    low, high = limited.told(stacks.ETCD, table)
    assert "Saturated with 0.15 cores: etcd, which used all that it may, 0.15 cores" in low
    assert "Saturated with 0.3 cores: neither cores" in high


def test_process_with_a_limit_is_in_a_control_group_as_long_as_that_is_wanted() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        groups = Path(f"/proc/{process.pid}/cgroup")
        before = groups.read_text()
        try:
            with limited.limited([process.pid], 0.5):
                assert "tidings-benchmark" in groups.read_text()
            assert groups.read_text() == before
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        finally:
            process.communicate()


def lingers(single: dict[str, float], steady: dict[str, float]) -> Table:
    table = Table(list(single), "5 ms")
    for column, figure in single.items():
        table.add(column, {tuning.SINGLE_P50: figure, tuning.STEADY_P50: steady[column]})
    return table


def test_longest_linger_is_chosen_whose_latencies_are_both_close_to_the_best() -> None:
    single = {"0 ms": 2.0, "1 ms": 2.0, "2 ms": 2.4, "3 ms": 3.3, "5 ms": 5.2, "10 ms": 10.1}
    assert "best: 2 ms" in tuning.longest_linger(lingers(single, single))
    steady = single | {"2 ms": 3.0}
    assert "best: 1 ms" in tuning.longest_linger(lingers(single, steady))


def test_largest_inline_batch_is_the_last_before_one_is_better_off_in_a_blob() -> None:
    table = Table([tuning.INLINE, tuning.SPILLING, tuning.BLOB], tuning.BLOB)
    for size_kib in tuning.SIZES_KIB:
        alone, many = tuning._single_p50(size_kib), tuning._many(size_kib)
        table.add(tuning.BLOB, {alone: 10.0, many: 10.0})
        table.add(tuning.SPILLING, {alone: 5.0 if size_kib <= 64 else 20.0, many: 9.0})
        table.add(tuning.INLINE, {alone: 5.0, many: 20.0 if size_kib <= 4 else 5.0})
    said = tuning.largest_inline(table)
    assert "inline: 4 KiB" in said
    assert "inline, spilling: 64 KiB" in said


def test_tuned_broker_has_the_settings_that_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ENGINE", storage.ENGINE)
    for store in (EtcdOrderStore, PostgresOrderStore):
        monkeypatch.setattr(store, "inline_bytes_max", store.inline_bytes_max)
    tuned.tune(["linger_s=0.25", "inline_bytes_max=7", "spill_bytes_max=9"])
    assert storage.ENGINE.linger_s == 0.25
    assert storage.ENGINE.spill_bytes_max == 9
    assert EtcdOrderStore.inline_bytes_max == 7


def _ended(command: list[str]) -> tuple[str, subprocess.Popen[str]]:
    """Run a command; one that takes too long is told to end, and so ends what it started."""
    pipe, joined = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=joined, text=True) as process:
        try:
            return process.communicate(timeout=PATIENCE_S)[0], process
        except subprocess.TimeoutExpired:
            process.terminate()
            return process.communicate()[0], process


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]


@pytest.mark.real
def test_benchmark_that_is_ended_leaves_no_process_behind() -> None:
    with obtained(databases.postgres):
        pass
    command = [sys.executable, str(ROOT / "benchmarks" / "cluster"), "--stores", "postgres"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        started: list[int] = []
        # PostgreSQL, and a broker.
        while len(started) < 2:
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert process.wait(LOOK_AGAIN_S) is None, "it ended"
            started = _children(process.pid)
        process.terminate()
        assert process.wait(PATIENCE_S) == 1
    assert not [child for child in started if Path(f"/proc/{child}").exists()]


@pytest.mark.real
def test_benchmark_of_a_cluster_measures_each_size_and_writes_its_page(tmp_path: Path) -> None:
    with obtained(databases.postgres):
        pass
    page = tmp_path / "page.md"
    command = [sys.executable, str(ROOT / "benchmarks" / "cluster"), "--tiny"]
    command += ["--stores", "postgres", "--scenarios", "load", "--markdown", str(page)]
    output, process = _ended(command)
    assert process.returncode == 0, output
    text = page.read_text()
    assert text in output
    assert "What failed" not in text
    rows = {
        line.split("|")[1].strip(): line.split("|")[2:-1]
        for line in text.splitlines()
        if "|" in line
    }
    for name in ("200 connections, p50 ms", "order append, calls", "cores of brokers"):
        assert all(cell.strip() not in ("-", "") for cell in rows[name][:3]), rows[name]
    assert rows["one batch of 100 B at a time, p50 ms"][3].strip() != "-"
