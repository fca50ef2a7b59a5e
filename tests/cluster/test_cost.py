"""What is said of store calls, against the calls that the engine makes under the same traffic."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_traffic import counted_calls

from tidings.core.pages import IN_SEGMENTS
from tidings.engine.settings import KIB, MIB
from tidings.kafka.cluster.cost import (
    INLINE_BYTES_MAX_ON_ETCD,
    INLINE_BYTES_MAX_ON_POSTGRES,
    PART_BYTES,
    Calls,
    Limits,
    Traffic,
    calls,
    etcd_limits,
    postgres_limits,
)
from tidings.stores import s3
from tidings.stores.etcd import order as etcd
from tidings.stores.postgres import order as postgres

SMALL, MEDIUM, LARGE = 1_000, 16_384, 100_000


def beats(limits: Limits) -> float:
    """Return the writes a second that only brokers make, not the engine."""
    return float(limits.brokers)


@pytest.mark.parametrize(
    ("limits", "bytes_per_s", "batch_bytes"),
    [
        pytest.param(etcd_limits(1), 5e4, SMALL, id="etcd, some small batches"),
        pytest.param(etcd_limits(3), 5e4, SMALL, id="etcd, some small batches to three brokers"),
        pytest.param(etcd_limits(3), 1e6, MEDIUM, id="etcd, 1 MB/s"),
        pytest.param(etcd_limits(3), 8e6, MEDIUM, id="etcd, as much as stays in entries"),
        pytest.param(etcd_limits(3), 1e6, LARGE, id="etcd, 1 MB/s of large batches"),
        pytest.param(etcd_limits(3), 1e8, MEDIUM, id="etcd, 100 MB/s, which spills"),
        pytest.param(etcd_limits(1), 1e7, LARGE, id="etcd, large batches all the time"),
        pytest.param(postgres_limits(1), 1e6, SMALL, id="PostgreSQL, 1 MB/s"),
        pytest.param(postgres_limits(3), 1e6, LARGE, id="PostgreSQL, large batches"),
        pytest.param(postgres_limits(3), 1e8, MEDIUM, id="PostgreSQL, 100 MB/s, which spills"),
    ],
)
def test_calls_for_a_traffic_are_those_that_the_engine_makes(
    limits: Limits, bytes_per_s: float, batch_bytes: int
) -> None:
    traffic = Traffic(bytes_per_s, batch_bytes)
    # Some hundred batches at least, so that chance counts for little.
    counted = counted_calls(traffic, limits, max(1.0, 600 * batch_bytes / bytes_per_s))
    said = calls(traffic, limits)
    writes = counted["order", "append"] + counted.get(("order", "swap_cell"), 0)
    assert writes == pytest.approx(said.order_writes - beats(limits), rel=0.15)
    assert counted.get(("blob", "put"), 0.0) == pytest.approx(said.objects, rel=0.15, abs=2)
    assert counted["order", "bytes"] == pytest.approx(said.order_bytes, rel=0.15, abs=5e5)


def test_pages_and_segments_are_counted_as_upkeep_makes_them() -> None:
    # A blob store so fast that nothing spills.
    limits, traffic = postgres_limits(1, put_s=0.001), Traffic(4e6, MEDIUM)
    counted = counted_calls(traffic, limits, seconds=30.0)
    said = calls(traffic, limits)
    assert said.objects > 0.5
    assert counted["blob", "put"] == pytest.approx(said.objects, rel=0.15)
    # A segment has two parts, and so takes four requests.
    pages = traffic.bytes_per_s / IN_SEGMENTS.inline_bytes_max
    assert said.puts - said.objects == pytest.approx(3 * pages)


@pytest.mark.parametrize(
    ("limits", "traffic"),
    [
        pytest.param(etcd_limits(3), Traffic(1e6, MEDIUM), id="in entries"),
        pytest.param(etcd_limits(3), Traffic(5e6, LARGE), id="in blobs"),
        pytest.param(etcd_limits(1), Traffic(8e6, MEDIUM), id="spilled"),
    ],
)
def test_records_at_the_tail_are_read_from_memory(limits: Limits, traffic: Traffic) -> None:
    counted = counted_calls(traffic, limits, seconds=4.0, is_read=True)
    assert counted.get(("blob", "get_range"), 0.0) == calls(traffic, limits).gets == 0


def test_blobs_are_sent_to_other_brokers_up_to_the_size_that_is_set() -> None:
    limits = etcd_limits(3)
    assert calls(Traffic(1e6, MEDIUM), limits).sent_blob_bytes == 0
    assert calls(Traffic(1e7, LARGE), limits).sent_blob_bytes == 1e7
    assert calls(Traffic(1e8, LARGE), limits).sent_blob_bytes == 0


def test_lingering_longer_asks_less_of_the_order_store() -> None:
    limits = etcd_limits(3)
    longer = replace(limits, engine=replace(limits.engine, linger_s=0.05))
    traffic = Traffic(1e6)
    assert calls(traffic, longer).order_writes < calls(traffic, limits).order_writes / 2
    counted = counted_calls(traffic, longer, seconds=5.0)
    assert counted["order", "append"] == pytest.approx(
        calls(traffic, longer).order_writes - beats(longer), rel=0.1
    )


def test_cost_follows_time_and_not_traffic() -> None:
    def at(bytes_per_s: float) -> Calls:
        return calls(Traffic(bytes_per_s, LARGE), etcd_limits(3))

    assert at(1e8).order_writes < 1.3 * at(1e7).order_writes
    assert at(1e8).objects < 1.3 * at(1e7).objects


def test_page_on_performance_tells_what_brokers_gather() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    told = {
        name: cells
        for name, *cells in re.findall(r"\(`(\w+)`\) \| (.+?) \| (.+?) \|", page)
        if cells
    }
    for place, limits in enumerate((etcd_limits(3), postgres_limits(3))):
        engine = limits.engine
        assert told["linger_s"][place] == f"{engine.linger_s * 1000:g} ms"
        assert told["inline_bytes_max"][place] == f"{limits.inline_bytes_max // KIB} KiB"
        assert told["submission_bytes_max"][place] == f"{engine.submission_bytes_max // KIB} KiB"
        assert told["spill_bytes_max"][place] == f"{engine.spill_bytes_max // MIB} MiB"


def test_limits_of_the_stores_are_those_that_they_have() -> None:
    assert etcd.INLINE_BYTES_MAX == INLINE_BYTES_MAX_ON_ETCD
    assert postgres.INLINE_BYTES_MAX == INLINE_BYTES_MAX_ON_POSTGRES
    assert s3.PART_BYTES == PART_BYTES
