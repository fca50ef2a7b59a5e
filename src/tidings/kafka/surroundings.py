"""What a broker has around it: nothing, or a cluster."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.kafka.broker import Broker
from tidings.kafka.known_brokers import KnownBrokers, Listener
from tidings.kafka.metrics.exposition import Family
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.standalone import ENGINE, Alone
from tidings.ports import Peers


class Surroundings(Protocol):
    """Whom a broker talks to, and what it is in their eyes."""

    @property
    def settings(self) -> BrokerSettings:
        """What the broker is told; the node id may come from the others."""

    @property
    def engine(self) -> Settings:
        """What its engine is told."""

    @property
    def peers(self) -> Peers:
        """The way to the others."""

    @property
    def known(self) -> KnownBrokers | None:
        """The others; None: there are none."""

    def running(self, log: Log, broker: Broker) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what goes on while the broker serves."""

    def families(self) -> Iterable[Family]:
        """Return metrics of what is around."""

    async def leave(self) -> None:
        """Let clients go elsewhere: the broker is about to end."""


Surround = Callable[[BrokerSettings, Sequence[Listener]], Awaitable[Surroundings]]
"""Takes up a broker that has these listeners; the first has no name."""


class Nobody:
    """What is around a broker that is its whole cluster."""

    engine = ENGINE
    known = None

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.peers = Alone(f"n{settings.node_id}")

    def running(self, log: Log, broker: Broker) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Surroundings`."""
        del log, broker
        return ()

    def families(self) -> Iterable[Family]:
        """See `Surroundings`."""
        return ()

    async def leave(self) -> None:
        """See `Surroundings`; there is nowhere else."""


async def alone(settings: BrokerSettings, _listeners: Sequence[Listener]) -> Surroundings:
    """Take up a broker that is its whole cluster."""
    return Nobody(settings)
