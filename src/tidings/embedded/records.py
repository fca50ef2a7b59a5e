"""What goes into an embedded log and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Header = tuple[str, bytes | None]
"""A header's key and value. Keys may repeat; their order is kept."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to append."""

    value: bytes | None
    """None is a tombstone, as in Kafka: it says that what the key stood for is gone."""

    key: bytes | None = None
    headers: Sequence[Header] = ()
    timestamp_ms: int | None = None
    """Milliseconds since 1970, UTC; None: the time at which it is appended."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that is in the log."""

    topic: str
    partition: int
    offset: int
    """Its place in the partition: 0, 1, 2, …"""
    timestamp_ms: int
    """Milliseconds since 1970, UTC."""
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What a topic was told to be."""

    partitions: int
    configs: Mapping[str, str]
    """Those that were set; the others are Kafka's defaults."""
