"""`Peers` over TCP: one connection for each pair of nodes, kept up as long as both are told of.

Of two nodes the one with the smaller name connects (`handshake.dials`), so that there is one
connection and nobody has to choose between two. A node that comes again takes the place of its
former connection, which may be of a life that ended without a word.

Nothing here is needed for safety: what does not arrive, nodes learn from the stores.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from random import Random

from tidings.errors import InvalidRequest
from tidings.peers.channel import Channel
from tidings.peers.handshake import Identity, Refused, accept, dial, dials
from tidings.peers.link import Link
from tidings.peers.outbox import Outbox
from tidings.peers.settings import (
    HANDSHAKES_MAX,
    NODE_ID_CHARACTERS_MAX,
    SECRET_BYTES_MIN,
    PeerAddress,
    PeerSettings,
)
from tidings.ports import MESSAGE_BYTES_MAX, Peers

log = logging.getLogger(__name__)

Receive = Callable[[str, bytes], None]
"""Takes a message and the node that sent it; raises nothing."""

_BROKEN = (Refused, EOFError, OSError)
"""How a connection ends; a time-out is an OSError."""

_NO_ADDRESS = (ValueError, OverflowError)
"""What connecting raises besides, if a name or a port can be none."""


class TcpPeers:
    """This node and its connections to the others that it was told of."""

    def __init__(
        self,
        node_id: str,
        *,
        cluster: str,
        secret: bytes,
        rng: Random,
        settings: PeerSettings | None = None,
    ) -> None:
        """Build this node, which is alone until it is told of others.

        Args:
            node_id: Its name, which no other node has.
            cluster: What nodes must have in common to talk to each other; no secret.
            secret: What shows that a node is one of the cluster.
            rng: As hard to guess as the secret: `random.SystemRandom`.
            settings: Intervals.

        Raises:
            InvalidRequest: The secret is too short, or the name too long or empty.
        """
        if len(secret) < SECRET_BYTES_MIN:
            raise InvalidRequest(
                f"The cluster secret has {len(secret)} bytes; take {SECRET_BYTES_MIN} or more, "
                "made by chance: openssl rand -hex 32."
            )
        if not 0 < len(node_id) <= NODE_ID_CHARACTERS_MAX:
            raise InvalidRequest(f"A node id has 1 to {NODE_ID_CHARACTERS_MAX} characters.")
        self.node_id = node_id
        # The same list for good; its contents change.
        self.node_ids = [node_id]
        self._identity = Identity(cluster, node_id, secret)
        self._rng = rng
        self._settings = settings or PeerSettings()
        self._addresses: dict[str, PeerAddress] = {}
        # What waits for each node that this one was told of, or is connected with.
        self._outboxes: dict[str, Outbox] = {}
        # The connections that are up.
        self._links: dict[str, Link] = {}
        # Connections that came in and have not shaken hands yet.
        self._guests: dict[asyncio.StreamWriter, None] = {}
        # Who keeps up the connections that this node has to make.
        self._dialers: dict[str, asyncio.Task[None]] = {}
        self.refused = 0  # connections that came in and were not of a node, since the beginning
        # Called with a node whose connection broke, and at whose address nobody listens any more.
        self.end_observers: list[Callable[[str], None]] = []
        # When the log may complain of strangers again, in loop time.
        self._complain_at = 0.0
        self._tasks: asyncio.TaskGroup | None = None
        self._receive: Receive = _lose
        self._is_closed = False

    def tell(self, addresses: Mapping[str, PeerAddress]) -> None:
        """Say which nodes there are, and where; may be called at any time, also before `run`.

        Whoever is left out is gone. This node may be among them, or not. A connection that is up
        is kept when its node has moved, until it breaks.
        """
        former = self._addresses
        self._addresses = {
            name: addresses[name] for name in sorted(addresses) if name != self.node_id
        }
        self.node_ids[:] = sorted([self.node_id, *self._addresses])
        for name in former:
            if name not in self._addresses:
                self._forget(name)
        for name in self._addresses:
            self._outboxes.setdefault(name, Outbox())
        self._dial_all()

    def connected(self) -> list[str]:
        """Return the nodes to which there is a connection now."""
        return sorted(self._links)

    def dropped(self, node_id: str) -> int:
        """Return how many messages to a node that this one was told of were dropped unsent."""
        outbox = self._outboxes.get(node_id)
        return outbox.dropped if outbox is not None else 0

    @property
    def guests(self) -> int:
        """How many have connected and not shaken hands yet."""
        return len(self._guests)

    def send(self, node_id: str, message: bytes) -> None:
        """See `Peers`; what is too long is lost, and so is the oldest if too much waits."""
        if node_id in self._addresses and len(message) <= MESSAGE_BYTES_MAX:
            self._outboxes[node_id].put(message)

    async def run(self, listening: socket.socket, receive: Receive) -> None:
        """Talk to the others until cancelled; closes the socket.

        Nobody who connects can make this fail.
        """
        self._receive = receive
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                server = await asyncio.start_server(self._accepted, sock=listening)
                try:
                    self._dial_all()
                    await asyncio.get_running_loop().create_future()
                finally:
                    server.close()
        finally:
            self.close()

    def close(self) -> None:
        """Break all connections at once; nothing is sent or received any more."""
        self._is_closed = True
        for link in self._links.values():
            link.close()
        for writer in self._guests:
            writer.transport.abort()

    def _forget(self, name: str) -> None:
        self._outboxes.pop(name, None)
        dialer = self._dialers.pop(name, None)
        if dialer is not None:
            dialer.cancel()
        link = self._links.get(name)
        if link is not None:
            link.close()

    def _dial_all(self) -> None:
        """Have a dialer for each node that this one connects to."""
        if self._tasks is None or self._is_closed:
            return
        for name in self._addresses:
            if dials(self.node_id, name) and name not in self._dialers:
                self._dialers[name] = self._tasks.create_task(self._keep_up(name))

    async def _keep_up(self, name: str) -> None:
        """Connect to a node, again and again."""
        loop = asyncio.get_running_loop()
        pause_s = self._settings.retry_min_s
        while True:
            began = loop.time()
            await self._connect(name)
            if loop.time() - began > self._settings.retry_max_s:
                pause_s = self._settings.retry_min_s
            # Not all at once, when one node comes back to many.
            await asyncio.sleep(pause_s * (0.5 + self._rng.random() / 2))
            pause_s = min(2 * pause_s, self._settings.retry_max_s)

    async def _connect(self, name: str) -> None:
        """Have a connection to a node, until it ends."""
        address = self._addresses[name]
        try:
            async with asyncio.timeout(self._settings.handshake_s):
                reader, writer = await asyncio.open_connection(*address)
            with _aborting(writer):
                async with asyncio.timeout(self._settings.handshake_s):
                    keys = await dial(reader, writer, self._identity, name, self._rng)
                await self._talk(name, Channel(reader, writer, keys))
        except (*_BROKEN, *_NO_ADDRESS) as error:
            log.info("no connection to %s at %s:%s: %s", name, *address, _reason(error))

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tasks is None or self._is_closed or len(self._guests) >= HANDSHAKES_MAX:
            writer.transport.abort()
            return
        self._guests[writer] = None
        self._tasks.create_task(self._welcome(reader, writer))

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to who connected, if it is a node."""
        with _aborting(writer):
            try:
                async with asyncio.timeout(self._settings.handshake_s):
                    name, keys = await accept(reader, writer, self._identity, self._rng)
            except _BROKEN as error:
                self._complain(writer, error)
                return
            finally:
                del self._guests[writer]
            await self._talk(name, Channel(reader, writer, keys))

    async def _talk(self, name: str, channel: Channel) -> None:
        """Carry messages until the connection ends.

        A node that this one was not told of yet may talk, and gets no answers.
        """
        if self._is_closed:
            return
        link = Link(channel, self._outboxes.setdefault(name, Outbox()), self._settings)
        former = self._links.pop(name, None)
        if former is not None:
            former.close()
        self._links[name] = link
        log.info("connected with %s", name)
        try:
            await link.run(partial(self._deliver, name))
        except* _BROKEN as errors:
            log.info("lost the connection with %s: %s", name, _reason(errors.exceptions[0]))
        finally:
            if self._links.get(name) is link:
                del self._links[name]
                if name not in self._addresses:
                    self._outboxes.pop(name, None)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # A task group of Python 3.11 and 3.12 forgets it when an error comes at the same time.
            raise asyncio.CancelledError
        if self._tasks is not None and not self._is_closed and self._is_lost(name):
            self._tasks.create_task(self._knock(name, self._addresses[name]))

    def _is_lost(self, name: str) -> bool:
        """Whether there ought to be a connection, and is none."""
        return name in self._addresses and name not in self._links

    async def _knock(self, name: str, address: PeerAddress) -> None:
        """Look whether a node whose connection broke still listens, and tell if it does not.

        Only after a connection: where firewalls refuse in the name of nodes, there was none.
        """
        for pause_s in (0.0, self._settings.retry_min_s):
            # A process that ends may close its connections before it stops to listen.
            await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(self._settings.handshake_s):
                    _, writer = await asyncio.open_connection(*address)
                writer.transport.abort()
            except ConnectionRefusedError:
                # Meanwhile it may have come again, to another address.
                if self._is_lost(name) and self._addresses[name] == address:
                    log.info("%s has ended: nobody listens at %s:%s", name, *address)
                    for observe in self.end_observers:
                        observe(name)
                return
            except (OSError, *_NO_ADDRESS):
                return

    def _deliver(self, name: str, message: bytes) -> None:
        if not self._is_closed:
            self._receive(name, message)

    def _complain(self, writer: asyncio.StreamWriter, error: Exception) -> None:
        """Count and say who was refused, unless somebody makes us say it all the time."""
        self.refused += 1
        now = asyncio.get_running_loop().time()
        if now >= self._complain_at:
            self._complain_at = now + self._settings.complaint_interval_s
            who = writer.get_extra_info("peername")
            log.warning("refused a connection from %s: %s", who, _reason(error))


def _lose(_source: str, _message: bytes) -> None:
    """Take a message when there is nobody to take it."""


@contextmanager
def _aborting(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Break the connection in the end, whatever happens."""
    try:
        yield
    finally:
        writer.transport.abort()


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case EOFError():
            return "it was closed by the other side"
        case _:
            return str(error)


_peers: type[Peers] = TcpPeers
