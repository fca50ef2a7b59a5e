"""Which brokers clients are told of, and which of them is preferred for what."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int


class Listener(NamedTuple):
    """One of a broker's listeners: where clients are told to connect that ask on it."""

    host: str
    port: int
    name: str = ""
    """What listeners of several brokers have in common; empty: the one that needs no name."""


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

    def live(self, listener: Listener) -> Sequence[KnownBroker]:
        """Return those that have such a listener, by node id; a client asks on this one's."""

    def preferred(self, thing: str, listener: Listener | None = None) -> int:
        """Return the node id of the one that clients should use for a thing: see below.

        With a listener, the one of those that have it.
        """


class OneBroker:
    """A broker that is its whole cluster."""

    def __init__(self, node_id: int, rack: str | None = None) -> None:
        self._node_id = node_id
        self._rack = rack

    @property
    def node_ids(self) -> Sequence[int]:
        """See `KnownBrokers`."""
        return [self._node_id]

    def live(self, listener: Listener) -> Sequence[KnownBroker]:
        """See `KnownBrokers`."""
        return [KnownBroker(self._node_id, listener.host, listener.port, self._rack)]

    def preferred(self, thing: str, listener: Listener | None = None) -> int:
        """See `KnownBrokers`."""
        del thing, listener
        return self._node_id


_one_broker: type[KnownBrokers] = OneBroker


def partition_thing(topic: str, partition: int) -> str:
    """Return what names a partition to `KnownBrokers.preferred`."""
    return f"partition/{topic}/{partition}"


def group_thing(group_id: str) -> str:
    """Return what names a consumer group to `KnownBrokers.preferred`."""
    return f"group/{group_id}"


def preferred_broker(brokers: KnownBrokers, listener: Listener, thing: str) -> KnownBroker | None:
    """Return the broker that all clients should use for a thing; None: not on this listener."""
    node_id = brokers.preferred(thing)
    return next((each for each in brokers.live(listener) if each.node_id == node_id), None)
