"""What the handlers of all APIs work with."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidings.engine.log import Log
from tidings.kafka.settings import BrokerSettings
from tidings.ports import Clock


@dataclass(frozen=True, slots=True)
class Address:
    """Where clients are told to connect."""

    host: str
    port: int


@dataclass(slots=True)
class Broker:
    """One broker: its log, and what it was told."""

    log: Log
    clock: Clock
    settings: BrokerSettings
    cluster_id: str

    fetch_turns: Iterator[int] = field(default_factory=itertools.count)
    """Counts Fetch requests: each looks at another one of its partitions first."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a request besides its body."""

    api_version: int
    client_id: str | None
    client_host: str
    listener: Address
    """The address of this broker, as this client should know it."""
    answer_bytes_max: int
    """An answer with records should not be larger: the room that is left for what is unsent."""
