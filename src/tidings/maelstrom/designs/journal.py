"""`journal`: one compare-and-swap in lin-kv orders everything; the project's own engine.

    lin-kv   journal/<slot>              an entry: a batch of operations of any clients, on any keys
             journal/cell/checkpoint     up to where the newest checkpoint reaches
    seq-kv   journal/data/<life>/<n>     large messages, written before the entry that names them
             journal/index/<n>           where the records of 256 slots are
             journal/checkpoint/<slot>   the state, so that a new node need not start at slot 0

A send waits until the entry that holds it is in lin-kv, and gets its offset from the fold of the
journal. While one entry is on its way, operations gather; one preferred node publishes for all. A
poll is answered from memory. See `tidings.engine.log`.

Costs, in messages between servers: one entry costs 2 (swap and reply), one forward for each other
node that has something in it, and one gossip message to each of those; however many sends and
commits it holds. A poll costs none, a list 2 (shared by all that wait at that moment).

What breaks it: nothing known. When the preferred publisher is cut off or dead, the others publish
for themselves after a while; they then contend for slots, which costs messages and time.
"""

import random
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence

import msgspec

from tidings.clock import SystemClock
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Corrupt
from tidings.maelstrom.design import Body, Network, Polled
from tidings.stores.maelstrom_kv import MaelstromBlobStore, MaelstromOrderStore
from tidings.types import Json, Offset, TopicPartition

JOURNAL = "journal"

GROUP = "kafka"
"""Clients of the workload share one set of committed offsets."""

LANES = 8
"""An operation need not wait for the outcome of those before it, only gather where many clients of
one node ask at once. Clients of this protocol wait for one reply before they ask again, so none
misses the order of one lane."""

LINGER_S_PER_NODE = 0.0025
"""An entry costs up to two messages for each node (swap and reply; a forward from and gossip to
each of the others), so that this bounds what a cluster of any size sends. See docs/designs.md."""

POLL_BYTES_MAX = 1024 * 1024
"""Message bytes of one key in one poll."""

_encoder = msgspec.json.Encoder()


class Peers:
    """The engine's peers over Maelstrom's network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.node_id = network.node_id
        self.node_ids = list(network.node_ids)

    def send(self, node_id: str, message: bytes) -> None:
        """See `tidings.ports.Peers`. Maelstrom itself ends a run that names an unknown node."""
        if node_id not in self.node_ids:
            return
        data = b64encode(message).decode("ascii")
        self._network.send(node_id, {"type": "gossip", "data": data})


class Journal:
    """The design; see the module."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def run(self) -> None:
        """Recover from the services, then follow and publish."""
        await self._log.run()

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._log.append(_partition(key), _encoder.encode(message), create_topic=True)

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what this node knows of from each offset on; see `Design.poll`."""
        polled: Polled = {}
        for key, offset in offsets.items():
            name = _partition(key)
            if offset >= await self._log.known_end_offset(name):
                continue
            batches = await self._log.fetch(name, Offset(offset), POLL_BYTES_MAX)
            polled[key] = [(batch.base_offset, msgspec.Raw(batch.data)) for batch in batches]
        return polled

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Commit; the engine's committed offset is the next to read. See `Design`."""
        wanted = {_partition(key): Offset(offset + 1) for key, offset in offsets.items()}
        if wanted:
            await self._log.commit_offsets(GROUP, wanted)

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Return committed offsets, current; see `Design`."""
        committed = await self._log.committed_offsets(GROUP, [_partition(key) for key in keys])
        return {name.topic: offset - 1 for name, offset in committed.items()}

    def handle_message(self, source: str, body: Body) -> None:
        """Take gossip from another node.

        Raises:
            Corrupt: It is none.
        """
        try:
            data = b64decode(body["data"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"no gossip: {body!r:.200}") from error
        self._log.handle_message(source, data)


def _partition(key: str) -> TopicPartition:
    return TopicPartition(key, 0)


def create(
    network: Network, rng: random.Random, *, gossip: bool = True, linger_s: float | None = None
) -> Journal:
    """Return the design for one node."""
    if linger_s is None:
        linger_s = LINGER_S_PER_NODE * len(network.node_ids)
    log = Log(
        MaelstromOrderStore(network, JOURNAL),
        MaelstromBlobStore(network, JOURNAL, network.node_id, rng),
        peers=Peers(network),
        clock=SystemClock(),
        rng=rng,
        settings=Settings(gossip=gossip, lanes=LANES, linger_s=linger_s),
        journal=JOURNAL,
    )
    return Journal(log)
