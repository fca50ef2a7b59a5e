"""What a broker did between two looks at its metrics."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from tidings.client.scraping import Page, Sample

LAGS_MAX = 10
"""Groups that are shown, those with the largest lags."""

_Labels = tuple[tuple[str, str], ...]


class Calls(NamedTuple):
    """Calls of one kind: their rate, and how long they took. Times are None without calls."""

    name: str
    per_s: float
    p50_s: float | None
    p99_s: float | None


class GroupLag(NamedTuple):
    """How far a group is behind in one topic."""

    group: str
    topic: str
    lag: int
    change_per_s: float
    """Above 0: it falls behind."""


class Overview(NamedTuple):
    """Everything that one screen shows."""

    requests: list[Calls]
    store_calls: list[Calls]
    lags: list[GroupLag]
    records_per_s: float
    appended_bytes_per_s: float
    request_bytes_per_s: float
    response_bytes_per_s: float
    publishes_per_s: float
    batches_per_publish: float | None
    failures_per_s: float
    connections: int
    partitions: int
    groups: int
    slots_since_checkpoint: int
    cpu: float
    """Of one core."""
    memory_bytes: int


def overview(before: Page, after: Page, seconds: float) -> Overview:
    """Return what happened between two pages that were read so many seconds apart."""

    def rate(name: str) -> float:
        return max(_sum(after, name) - _sum(before, name), 0) / seconds

    publishes_per_s = rate("tidings_publish_batches_count")
    return Overview(
        requests=_calls(before, after, seconds, "tidings_request_duration_seconds", ("api",)),
        store_calls=_calls(
            before, after, seconds, "tidings_store_call_duration_seconds", ("store", "call")
        ),
        lags=_lags(before, after, seconds),
        records_per_s=rate("tidings_appended_records_total"),
        appended_bytes_per_s=rate("tidings_appended_bytes_total"),
        request_bytes_per_s=rate("tidings_request_bytes_total"),
        response_bytes_per_s=rate("tidings_response_bytes_total"),
        publishes_per_s=publishes_per_s,
        batches_per_publish=rate("tidings_publish_batches_sum") / publishes_per_s
        if publishes_per_s
        else None,
        failures_per_s=rate("tidings_request_failures_total")
        + rate("tidings_store_call_failures_total"),
        connections=int(_sum(after, "tidings_connections")),
        partitions=int(_sum(after, "tidings_partitions")),
        groups=int(_sum(after, "tidings_groups")),
        slots_since_checkpoint=int(
            _sum(after, "tidings_journal_next_slot") - _sum(after, "tidings_checkpoint_slot")
        ),
        cpu=rate("process_cpu_seconds_total"),
        memory_bytes=int(_sum(after, "process_resident_memory_bytes")),
    )


def _sum(page: Page, name: str) -> float:
    return sum(sample.value for sample in page.get(name, ()))


def _calls(
    before: Page, after: Page, seconds: float, name: str, labels: tuple[str, ...]
) -> list[Calls]:
    """Return the calls of each kind, the most frequent first."""
    old = _buckets(before, f"{name}_bucket", labels)
    found = []
    for kind, buckets in _buckets(after, f"{name}_bucket", labels).items():
        counts = {
            # A broker that was started anew counts from 0.
            bound: max(count - old.get(kind, {}).get(bound, 0), 0)
            for bound, count in buckets.items()
        }
        count = max(counts.values(), default=0)
        found.append(
            Calls(" ".join(kind), count / seconds, quantile(counts, 0.5), quantile(counts, 0.99))
        )
    return sorted(found, key=lambda calls: (-calls.per_s, calls.name))


def _buckets(
    page: Page, name: str, labels: tuple[str, ...]
) -> dict[tuple[str, ...], dict[float, float]]:
    """Return how many were at most as large as each bound, by kind."""
    found: dict[tuple[str, ...], dict[float, float]] = {}
    for sample in page.get(name, ()):
        kind = tuple(sample.labels.get(label, "") for label in labels)
        found.setdefault(kind, {})[float(sample.labels["le"])] = sample.value
    return found


def quantile(counts: Mapping[float, float], part: float) -> float | None:
    """Return about what so large a part of the values is below, as Prometheus guesses it.

    `counts` says how many are at most as large as each bound, the last of which is infinite. None
    if there are no values.
    """
    steps = [(0.0, 0.0), *sorted(counts.items())]
    wanted = steps[-1][1] * part
    if not wanted:
        return None
    for (lower, below), (upper, count) in pairwise(steps):
        if count >= wanted:
            if upper == float("inf"):
                return lower
            return lower + (upper - lower) * (wanted - below) / (count - below)
    return None


def _lags(before: Page, after: Page, seconds: float) -> list[GroupLag]:
    name = "tidings_group_lag_records"
    old = _by_group(before.get(name, []))
    found = [
        GroupLag(group, topic, int(lag), (lag - old.get((group, topic), lag)) / seconds)
        for (group, topic), lag in _by_group(after.get(name, [])).items()
    ]
    return sorted(found, key=lambda one: (-one.lag, one.group, one.topic))[:LAGS_MAX]


def _by_group(samples: list[Sample]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for labels, value in samples:
        key = (labels["group"], labels["topic"])
        found[key] = found.get(key, 0) + value
    return found
