"""What a broker is right now: read at a scrape, so that it costs nothing between two."""

import os
import resource
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import tidings
from tidings.kafka.broker import Broker
from tidings.kafka.connections import Connections
from tidings.kafka.metrics.exposition import Family, Sample
from tidings.types import TopicPartition

SERIES_MAX = 10_000
"""Partitions that are told one by one, and partitions of groups; the others are counted only."""


def families(broker: Broker, connections: Connections) -> Iterator[Family]:
    """Yield everything that can be seen of a broker."""
    yield _gauge("tidings_build_info", "Always 1.", 1, version=tidings.__version__)
    yield _gauge("tidings_connections", "Open connections.", connections.count)
    yield _gauge(
        "tidings_connection_bytes",
        "Requests received and answers not sent, of all connections.",
        connections.held_bytes,
    )
    yield from _journal(broker)
    yield from _partitions(broker)
    yield from _groups(broker)
    yield from _process()


def _gauge(name: str, meaning: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", meaning, [Sample(value, labels)])


def _journal(broker: Broker) -> Iterator[Family]:
    journal = broker.log.journal
    state = journal.state
    yield _gauge(
        "tidings_journal_next_slot", "The slot that is applied next.", float(state.next_slot)
    )
    yield _gauge(
        "tidings_journal_durable_slot",
        "The first slot that no durable index page covers.",
        float(state.durable_slot),
    )
    yield _gauge("tidings_index_entries", "Index entries in memory.", state.index_size)
    yield _gauge(
        "tidings_entry_cache_bytes", "Cache of entries of the journal.", journal.entries.size
    )


def _partitions(broker: Broker) -> Iterator[Family]:
    state = broker.log.state
    yield _gauge("tidings_topics", "Topics.", len(state.topics))
    count = sum(topic.partition_count for topic in state.topics.values())
    yield _gauge("tidings_partitions", "Partitions.", count)
    told = list(islice(state.partitions.items(), SERIES_MAX))
    yield Family(
        "tidings_partition_end_offset",
        "gauge",
        "The next offset of a partition that has records.",
        [Sample(found.end_offset, _labels(name)) for name, found in told],
    )
    yield Family(
        "tidings_partition_log_start_offset",
        "gauge",
        "The first offset that can be read of a partition that has records.",
        [Sample(found.log_start_offset, _labels(name)) for name, found in told],
    )


def _labels(name: TopicPartition) -> dict[str, str]:
    return {"topic": name.topic, "partition": str(name.partition)}


def _groups(broker: Broker) -> Iterator[Family]:
    state = broker.log.state
    yield _gauge("tidings_groups", "Consumer groups, with or without members.", len(state.groups))
    committed = (
        (group_id, name, found.offset)
        for group_id, group in state.groups.items()
        for name, found in group.committed.items()
    )
    yield Family(
        "tidings_group_lag_records",
        "gauge",
        "Records of a partition that come after what a group committed.",
        [
            Sample(max(state.end_offset(name) - offset, 0), {"group": group_id, **_labels(name)})
            for group_id, name, offset in islice(committed, SERIES_MAX)
        ],
    )


def _process() -> Iterator[Family]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Family(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of this process.",
        [Sample(used.ru_utime + used.ru_stime)],
    )
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[1])
        yield _gauge(
            "process_resident_memory_bytes",
            "Resident memory.",
            pages * os.sysconf("SC_PAGE_SIZE"),
        )
        yield _gauge(
            "process_open_fds", "Open files.", sum(1 for _ in Path("/proc/self/fd").iterdir())
        )
