"""Takes a broker up into a cluster, and keeps it there."""

import logging
import socket
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tidings.engine.journal import Journal
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import InvalidRequest
from tidings.kafka.broker import Broker
from tidings.kafka.cluster.brokers import Registration
from tidings.kafka.cluster.metrics import families
from tidings.kafka.cluster.place import ClusterPlace
from tidings.kafka.cluster.registry import Registry, register
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.kafka.cluster.storage import FollowedOrderStore, SharedStorage
from tidings.kafka.known_brokers import Listener
from tidings.kafka.means import Means
from tidings.kafka.metrics.exposition import Family
from tidings.kafka.settings import BrokerSettings
from tidings.peers import PeerAddress, PeerSettings, TcpPeers
from tidings.types import Slot

log = logging.getLogger(__name__)

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- nobody listens here; they are refused
"""Where one can listen, and not connect."""

_INCARNATION_BITS = 64


def check_advertised(settings: BrokerSettings) -> None:
    """See that clients can be told by others where this broker is.

    Raises:
        InvalidRequest: They cannot.
    """
    for each in settings.every_listener:
        if each.advertised_host is None and each.host in _EVERYWHERE:
            raise InvalidRequest(
                f"Other brokers tell clients where this one is, and {each.host} is no address to "
                f"connect to. Say --advertise {each.name + '=' if each.name else ''}HOST:PORT."
            )


async def join(
    storage: SharedStorage,
    place: ClusterPlace,
    settings: BrokerSettings,
    listeners: Sequence[Listener],
    *,
    means: Means | None = None,
    registry_settings: RegistrySettings | None = None,
    peer_settings: PeerSettings | None = None,
) -> "Member":
    """Take up a broker that has these listeners; the first has no name.

    Raises:
        InvalidRequest: Its node id is taken, or an address cannot be.
        Unavailable: The order store gave no answer.
        Corrupt: The order store holds something else than what was put there.
    """
    check_advertised(settings)
    means = means or Means()
    gossip = _listen_for_brokers(means, settings.host, place.gossip_port)
    (host, port, _), *others = listeners
    gossip_port = int(gossip.getsockname()[1])
    gossip_host, gossip_port = place.gossip_advertised or (host, gossip_port)
    rng = means.secret_rng
    registry_settings = registry_settings or RegistrySettings()
    own = await register(
        storage.order,
        Registration(
            0,
            f"{rng.getrandbits(_INCARNATION_BITS):016x}",
            host,
            port,
            gossip_host,
            gossip_port,
            place.rack,
            0,
            metrics_port=settings.metrics_port,
            listeners=tuple(others),
        ),
        rng,
        node_id=place.node_id,
        settings=registry_settings,
    )
    log.info("registered as broker %d", own.node_id, extra={"fields": {"node_id": own.node_id}})
    peers = TcpPeers(
        _name(own.node_id),
        cluster=storage.cluster_id,
        secret=place.secret or storage.identity.secret,
        rng=rng,
        settings=peer_settings,
    )
    registry = Registry(
        storage.order,
        own,
        rng,
        settings=registry_settings,
        is_linked=lambda node_id: _name(node_id) in peers.connected(),
    )
    await registry.look()
    return Member(storage, replace(settings, node_id=own.node_id), registry, peers, gossip)


def _listen_for_brokers(means: Means, host: str, port: int) -> socket.socket:
    try:
        return means.listen(host, port)
    except OSError as error:
        raise InvalidRequest(
            f"Cannot listen for other brokers on {host}:{port}: {error.strerror}. "
            "Choose another port with --gossip-port."
        ) from error


def _name(node_id: int) -> str:
    """Return what brokers call one of them."""
    return f"n{node_id}"


def _node_id(name: str) -> int:
    """Return which broker is called so."""
    return int(name[1:])


class Member:
    """What is around a broker of a cluster: see `Surroundings`."""

    def __init__(
        self,
        storage: SharedStorage,
        settings: BrokerSettings,
        registry: Registry,
        peers: TcpPeers,
        gossip: socket.socket,
    ) -> None:
        """`gossip` is where other brokers connect; `running` closes it."""
        self.settings = settings
        self.engine: Settings = storage.engine
        self.peers = peers
        self.known = registry
        self._order: FollowedOrderStore = storage.order
        self._gossip = gossip
        registry.observers.append(self._tell_peers)
        peers.end_observers.append(lambda name: registry.note_ended(_node_id(name)))
        self._tell_peers()

    def running(self, log: Log, broker: Broker) -> Sequence[Coroutine[Any, Any, None]]:
        """See `Surroundings`."""
        self.known.observers.append(broker.groups.look_again)
        return (
            self.peers.run(self._gossip, log.handle_message),
            self._order.follow(partial(hear, log.journal)),
            self._serve(log.journal),
        )

    def families(self) -> Iterable[Family]:
        """See `Surroundings`."""
        return families(self.known, [_node_id(name) for name in self.peers.connected()])

    async def leave(self) -> None:
        """See `Surroundings`."""
        await self.known.leave()

    async def _serve(self, journal: Journal) -> None:
        """Be there for others as soon as this broker knows the journal."""
        await journal.recovered.wait()
        await self.known.serve()

    def _tell_peers(self) -> None:
        self.peers.tell(
            {
                _name(each.node_id): PeerAddress(each.gossip_host, each.gossip_port)
                for each in self.known.registrations
            }
        )


def hear(journal: Journal, slot: Slot, entry: bytes | None) -> None:
    """Learn what the order store tells; what it only names, others may tell in a moment."""
    if entry is None:
        journal.note_filled(slot)
    else:
        journal.learn(slot, [entry])
