"""What a broker really exports, against the pages and the dashboard that tell of it."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, Producer
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tidings.kafka.cluster.brokers import CELL, Registration, encode_brokers
from tidings.kafka.cluster.metrics import families
from tidings.kafka.cluster.registry import Registry
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.kafka.metrics.exposition import render
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run

pytestmark = pytest.mark.real

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 60.0
SUFFIXES = ("_bucket", "_sum", "_count")


class Served(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    operations: str
    """URL before the path."""


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    options = ["--data", str(folder), "--port", "0", "--metrics-port", "0"]
    command = [sys.executable, "-m", "tidings", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline() + process.stdout.readline()
            match = re.search(r"listens on (\S+:\d+);.*\nMetrics are at (\S+)/metrics\n", said)
            assert match, said
            yield Served(process, match[1], match[2])
        finally:
            process.kill()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def is_ready(served: Served) -> bool:
    try:
        return get(f"{served.operations}/readyz") == "ok\n"
    except urllib.error.HTTPError as error:
        error.close()
        return error.code != 503


def scrape(served: Served) -> dict[str, Metric]:
    text = get(f"{served.operations}/metrics")
    return {one.name: one for one in text_string_to_metric_families(text)}


def work(address: str) -> None:
    """Append 30 records, read 20 of them in a group, and commit."""
    producer = Producer({"bootstrap.servers": address})
    for number in range(30):
        producer.produce("news", b"%d" % number)
    assert producer.flush(PATIENCE_S) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["news"])
    read = consumer.consume(20, PATIENCE_S)
    consumer.commit(message=read[-1], asynchronous=False)
    consumer.close()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    with serving(tmp_path_factory.mktemp("data")) as served:
        work(served.address)
        return scrape(served)


@pytest.fixture(scope="module")
def exported_in_a_cluster(exported: dict[str, Metric]) -> dict[str, Metric]:
    """Return what a broker among others exports as well."""
    brokers = [
        Registration(number, f"life {number}", "h", 1, "h", 2, None, 0, is_serving=True)
        for number in (1, 2)
    ]

    async def main() -> bytes:
        order = MemoryOrderStore()
        registry = Registry(
            order,
            brokers[0],
            Random("metrics"),
            settings=RegistrySettings(),
            is_linked=lambda _: True,
        )
        await order.swap_cell(CELL, None, encode_brokers(brokers))
        await registry.look()
        return render(families(registry, [2]))

    text = run(main()).decode()
    return exported | {one.name: one for one in text_string_to_metric_families(text)}


def value(metric: Metric, **labels: str) -> float:
    (found,) = [one.value for one in metric.samples if one.labels == labels]
    return float(found)


def test_metrics_tell_what_clients_did(exported: dict[str, Metric]) -> None:
    place = {"topic": "news", "partition": "0"}
    assert value(exported["tidings_appended_records"]) == 30
    assert value(exported["tidings_partition_end_offset"], **place) == 30
    assert value(exported["tidings_partition_log_start_offset"], **place) == 0
    assert value(exported["tidings_group_lag_records"], group="readers", **place) == 10
    assert value(exported["tidings_topics"]) == value(exported["tidings_partitions"]) == 1
    assert value(exported["tidings_groups"]) == 1
    assert value(exported["tidings_publishes"], outcome="appended") > 1
    assert value(exported["tidings_journal_next_slot"]) > 1
    assert value(exported["tidings_index_entries"]) >= 1
    counts = {
        one.labels["api"]: one.value
        for one in exported["tidings_request_duration_seconds"].samples
        if one.name.endswith("_count")
    }
    assert {"Produce", "Fetch", "Metadata", "JoinGroup", "OffsetCommit"} <= set(counts)
    assert all(count >= 1 for count in counts.values())
    assert value(exported["tidings_request_bytes"], api="Produce") > 30
    assert value(exported["tidings_response_bytes"], api="Fetch") > 30


def table() -> dict[str, str]:
    """Return kind by name of the metrics that the page lists."""
    rows = re.findall(
        r"^\| `(\w+)` \| (counter|gauge|histogram) \|",
        (DOCS / "operations.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == len(dict(rows))
    return dict(rows)


def exported_names(exported: dict[str, Metric]) -> dict[str, str]:
    return {
        name + "_total" if metric.type == "counter" else name: metric.type
        for name, metric in exported.items()
    }


def test_page_lists_every_metric_that_is_exported_with_its_kind(
    exported_in_a_cluster: dict[str, Metric],
) -> None:
    # Exported only after a checkpoint.
    sometimes = {"tidings_checkpoint_timestamp_seconds": "gauge"}
    assert table() == {**exported_names(exported_in_a_cluster), **sometimes}


def queries() -> list[str]:
    board = json.loads((DOCS / "grafana-dashboard.json").read_text())
    variables = [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return variables + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def labels_of(metric: Metric) -> set[str]:
    """Return the labels of a metric, and what Prometheus adds to each."""
    return {"instance", "job"} | {name for one in metric.samples for name in one.labels}


@pytest.mark.parametrize("query", queries())
def test_query_of_the_dashboard_asks_for_what_is_exported(
    exported_in_a_cluster: dict[str, Metric], query: str
) -> None:
    exported = exported_in_a_cluster
    names = re.findall(r"\b(?:tidings|process)_\w+", query)
    assert names
    known: set[str] = set()
    series = {one.name for metric in exported.values() for one in metric.samples}
    for name in names:
        base = re.sub(r"_(bucket|sum|count|total)$", "", name)
        assert base in exported, name
        assert name in series or not exported[base].samples, name
        known |= labels_of(exported[base])
        if not exported[base].samples:
            known |= {"api", "store", "call"}
    used = re.findall(r"(\w+)\s*=~?\s*\"", query)
    for group in re.findall(r"by \(([^)]*)\)", query):
        used += [name.strip() for name in group.split(",")]
    assert set(used) <= known


def test_health_and_readiness_are_told_and_end_with_the_broker(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        assert get(f"{served.operations}/healthz") == "ok\n"
        while not is_ready(served):
            pass
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(PATIENCE_S) == 0


def test_metrics_of_a_second_life_do_not_count_what_the_first_appended(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        work(served.address)
    with serving(tmp_path) as served:
        while not is_ready(served):
            pass
        exported = scrape(served)
    assert value(exported["tidings_appended_records"]) == 0
    place = {"topic": "news", "partition": "0"}
    assert value(exported["tidings_partition_end_offset"], **place) == 30


def test_metrics_port_in_use_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path / "one") as served:
        port = served.operations.rpartition(":")[2]
        command = [sys.executable, "-m", "tidings", "serve", "--memory", "--port", "0"]
        ended = subprocess.run(
            [*command, "--metrics-port", port],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    assert ended.returncode == 2
    assert "--metrics-port" in ended.stderr
