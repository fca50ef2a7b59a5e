"""What brokers ask of their stores for a given traffic, computed from their settings.

Cost follows time, not traffic: while one publish is on its way the next one gathers, so however
many batches come, a cluster publishes at most once in `Limits.publish_s`. What is counted here is
what the engine does when stores and network answer always in the same time; tests hold it against
the calls that the engine really makes.
"""

import math
from dataclasses import dataclass

from tidings.core.pages import IN_SEGMENTS
from tidings.engine.settings import KIB, MIB, Settings
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.kafka.cluster.storage import ENGINE

INLINE_BYTES_MAX_ON_ETCD = 16 * KIB
INLINE_BYTES_MAX_ON_POSTGRES = 64 * KIB
"""Those of the stores, which need not be installed here."""

PART_BYTES = 8 * MIB
"""A larger blob is put in parts of this size, each a request, with two more around them."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What clients produce and read."""

    bytes_per_s: float
    batch_bytes: int = 16 * KIB
    """Of one record batch, as producers send it: Java's default is at most so large."""
    behind: float = 0.0
    """How often each record is read when it is no longer in memory; at the tail all are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the brokers and their stores are like."""

    engine: Settings
    inline_bytes_max: int
    """Record batches up to this size are kept in the entry."""
    append_s: float
    """How long the order store takes to answer an append."""
    put_s: float
    """How long the blob store takes to store a blob."""
    brokers: int = 3

    @property
    def publish_s(self) -> float:
        """The least time from one publish to the next."""
        courtesy_s = self.append_s * self.engine.courtesy / 2
        return max(self.engine.linger_s, self.append_s + courtesy_s)

    @property
    def blob_s(self) -> float:
        """How long a submission with a blob takes: the blob, and then the entry that names it."""
        return self.put_s + self.append_s


@dataclass(frozen=True, slots=True)
class Calls:
    """A second, of all brokers together."""

    order_writes: float
    order_reads: float
    order_bytes: float
    """Record bytes that go through the order store."""
    objects: float
    """Blobs that are stored, and deleted when their records have gone."""
    puts: float
    """Requests that store them: more where blobs are put in parts."""
    gets: float
    """Requests that read from them: one for each batch at most."""
    sent_blob_bytes: float
    """Of blobs that each broker sends to all others, so that they need not be read."""


def etcd_limits(brokers: int, *, append_s: float = 0.004, put_s: float = 0.03) -> Limits:
    """Return what brokers on etcd and S3 are like."""
    return Limits(ENGINE, INLINE_BYTES_MAX_ON_ETCD, append_s, put_s, brokers)


def postgres_limits(brokers: int, *, append_s: float = 0.002, put_s: float = 0.01) -> Limits:
    """Return what brokers on PostgreSQL are like."""
    return Limits(ENGINE, INLINE_BYTES_MAX_ON_POSTGRES, append_s, put_s, brokers)


def calls(traffic: Traffic, limits: Limits) -> Calls:
    """Return what brokers ask of their stores."""
    batches = traffic.bytes_per_s / traffic.batch_bytes
    blobs = _blobs(traffic, limits, batches)
    # Brokers with blobs come by turns.
    publishes = min(blobs, 1 / limits.publish_s) or _repeats(batches, limits.publish_s)
    inline_bytes = 0.0 if blobs else traffic.bytes_per_s
    pages = max(
        inline_bytes / IN_SEGMENTS.inline_bytes_max,
        batches / IN_SEGMENTS.batches_max,
        publishes / IN_SEGMENTS.slots_max,
    )
    segments = pages if inline_bytes else 0.0
    checkpoints = pages / limits.engine.checkpoint_pages
    beats = limits.brokers / RegistrySettings().beat_interval_s
    return Calls(
        # A checkpoint is named, and slots are trimmed.
        order_writes=publishes + blobs / limits.engine.blobs_reserved + 2 * checkpoints + beats,
        order_reads=checkpoints + beats,
        order_bytes=inline_bytes,
        objects=blobs + segments + pages + checkpoints,
        puts=blobs + segments * _requests(inline_bytes / pages) + pages + checkpoints,
        gets=batches * traffic.behind,
        sent_blob_bytes=traffic.bytes_per_s if _is_sent(traffic, limits, blobs) else 0.0,
    )


def _blobs(traffic: Traffic, limits: Limits, batches: float) -> float:
    """Return how many blobs with record bytes are put a second; 0 if all are kept in entries."""
    engine, brokers = limits.engine, limits.brokers
    # Who once had so much that it went to a blob, has more when that is stored.
    gathered_bytes = traffic.bytes_per_s / brokers * limits.blob_s
    is_large = traffic.batch_bytes > limits.inline_bytes_max
    if not is_large and gathered_bytes <= engine.submission_bytes_max:
        return 0.0
    alone = _repeats(batches / brokers, limits.blob_s)
    # When all are at it, each waits for the publishes of the others.
    turn_s = limits.publish_s * (brokers - 1) / brokers
    waits_s = turn_s * min(1.0, alone * brokers * limits.publish_s)
    blobs = brokers * _repeats(batches / brokers, limits.blob_s + waits_s)
    return blobs if is_large else max(blobs, traffic.bytes_per_s / engine.spill_bytes_max)


def _is_sent(traffic: Traffic, limits: Limits, blobs: float) -> bool:
    """Whether blobs are small enough to be sent to other brokers."""
    return blobs > 0 and traffic.bytes_per_s / blobs <= limits.engine.gossip_blob_bytes_max


def _repeats(arrivals: float, taken_s: float) -> float:
    """Return how often a second something is done for whatever has gathered since it was begun.

    It takes `taken_s`; what comes meanwhile waits, and who finds nobody at it begins at once.
    Arrivals are independent of each other (Poisson's).
    """
    return 1 / (taken_s + math.exp(-arrivals * taken_s) / arrivals)


def _requests(size_bytes: float) -> int:
    """Return how many requests store an object."""
    if size_bytes <= PART_BYTES:
        return 1
    return 2 + math.ceil(size_bytes / PART_BYTES)
