"""Which brokers clients are told of, and which of them is preferred for what."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Address(NamedTuple):
    """Where clients are told to connect."""

    host: str
    port: int


class KnownBroker(NamedTuple):
    """A broker, as clients see it."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


class KnownBrokers(Protocol):
    """The brokers of a cluster that are alive, as far as this one knows: one at least."""

    @property
    def node_ids(self) -> Sequence[int]:
        """Their node ids, in order."""

    def live(self, listener: Address) -> Sequence[KnownBroker]:
        """Return them by node id; `listener` is where the client that asks reached this one."""

    def preferred(self, thing: str) -> int:
        """Return the node id of the one that clients should use for a thing: see below."""


class OneBroker:
    """A broker that is its whole cluster."""

    def __init__(self, node_id: int, rack: str | None = None) -> None:
        self._node_id = node_id
        self._rack = rack

    @property
    def node_ids(self) -> Sequence[int]:
        """See `KnownBrokers`."""
        return [self._node_id]

    def live(self, listener: Address) -> Sequence[KnownBroker]:
        """See `KnownBrokers`."""
        return [KnownBroker(self._node_id, *listener, self._rack)]

    def preferred(self, thing: str) -> int:
        """See `KnownBrokers`."""
        del thing
        return self._node_id


_one_broker: type[KnownBrokers] = OneBroker


def partition_thing(topic: str, partition: int) -> str:
    """Return what names a partition to `KnownBrokers.preferred`."""
    return f"partition/{topic}/{partition}"


def group_thing(group_id: str) -> str:
    """Return what names a consumer group to `KnownBrokers.preferred`."""
    return f"group/{group_id}"


def preferred_broker(brokers: KnownBrokers, listener: Address, thing: str) -> KnownBroker:
    """Return the broker that clients should use for a thing."""
    node_id = brokers.preferred(thing)
    return next(broker for broker in brokers.live(listener) if broker.node_id == node_id)
