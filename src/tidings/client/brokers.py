"""What the brokers of a cluster say of themselves, on their pages of metrics."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tidings.client.overview import quantile
from tidings.client.scraping import Page, Sample, ask_page, parse, read_page
from tidings.errors import InvalidRequest, Unavailable

ASKED_AT_ONCE_MAX = 16
"""Brokers that are asked at a time."""


class BrokerState(NamedTuple):
    """One broker; what it was not asked for or did not say is None."""

    node_id: int
    address: str
    rack: str
    trouble: str | None
    """Why it should get no clients now; None: it should."""
    next_slot: int | None = None
    """The slot of the journal that it applies next."""
    behind_slots: int | None = None
    """How far that is from the foremost; brokers are not asked in the same instant."""
    connected: int | None = None
    """Other brokers to which it has a connection."""
    clients: int | None = None
    """Connections of clients."""
    beat_age_s: float | None = None
    """Since it last told the others that it is alive."""
    append_p99_s: float | None = None
    """Of its appends to the order store, since it was started."""
    failures: int | None = None
    """Calls to stores that failed, since it was started."""


class ClusterState(NamedTuple):
    """A cluster, as one of its brokers knows it."""

    brokers: Sequence[BrokerState]
    checkpoint_slot: int
    """Below which the newest checkpoint reaches."""
    slots_since_checkpoint: int
    checkpoint_at_s: float | None
    """When it was made (seconds since 1970), if a broker made one since it was started."""


def cluster_state(url: str) -> ClusterState:
    """Ask one broker who is there, and then each of them how it is.

    Raises:
        InvalidRequest: `url` is not one of HTTP, or of a broker without others.
        Unavailable: Nobody answers there, or something else does.
    """
    told = [sample.labels for sample in read_page(url).get("tidings_cluster_broker_info", ())]
    if not told:
        raise InvalidRequest(
            f"the broker at {url} is no part of a cluster; `tidings top` shows what it does"
        )
    with ThreadPoolExecutor(ASKED_AT_ONCE_MAX) as threads:
        answers = list(threads.map(_ask, [each["metrics"] for each in told]))
    pages = [answer.page for answer in answers if answer.page is not None]
    foremost = max((_slot(page, "tidings_journal_next_slot") for page in pages), default=0)
    checkpoint = max((_slot(page, "tidings_checkpoint_slot") for page in pages), default=0)
    made = [value for page in pages if (value := _checkpoint_at_s(page)) is not None]
    return ClusterState(
        [_state(labels, answer, foremost) for labels, answer in zip(told, answers, strict=True)],
        checkpoint,
        foremost - checkpoint,
        max(made, default=None),
    )


class _Answer(NamedTuple):
    page: Page | None
    """A broker's metrics, if it tells any."""
    trouble: str | None


def _ask(metrics: str) -> _Answer:
    if not metrics:
        return _Answer(None, "not known: it was started without --metrics-port")
    try:
        page = parse(ask_page(f"http://{metrics}/metrics").text)
        ready = ask_page(f"http://{metrics}/readyz")
    except Unavailable as error:
        return _Answer(None, str(error))
    return _Answer(page, None if ready.is_ok else ready.text.strip())


def _state(labels: Mapping[str, str], answer: _Answer, foremost: int) -> BrokerState:
    named = int(labels["broker"]), labels["address"], labels["rack"], answer.trouble
    page = answer.page
    if page is None:
        return BrokerState(*named)
    next_slot = _slot(page, "tidings_journal_next_slot")
    return BrokerState(
        *named,
        next_slot,
        foremost - next_slot,
        int(_sum(page.get("tidings_gossip_connected", ()))),
        int(_sum(page.get("tidings_connections", ()))),
        _sum(page.get("tidings_beat_age_seconds", ())),
        _append_p99_s(page),
        int(_sum(page.get("tidings_store_call_failures_total", ()))),
    )


def _append_p99_s(page: Page) -> float | None:
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in page.get("tidings_store_call_duration_seconds_bucket", ())
        if (sample.labels["store"], sample.labels["call"]) == ("order", "append")
    }
    return quantile(buckets, 0.99) if buckets else None


def _checkpoint_at_s(page: Page) -> float | None:
    samples = page.get("tidings_checkpoint_timestamp_seconds", ())
    return samples[0].value if samples else None


def _slot(page: Page, name: str) -> int:
    return int(_sum(page.get(name, ())))


def _sum(samples: Sequence[Sample]) -> float:
    return sum(sample.value for sample in samples)
