"""What nodes tell each other: new entries, in batches, new blobs, and submissions to publish.

Gossip only saves time and messages; whatever is lost is read from the order store. Only who filled
a slot spreads its entry: at once to the nodes whose submissions are in it, to the others together
with what else comes in an interval. A message carries all that its receiver is not known to have.
"""

import asyncio
import logging

import msgspec

from tidings.core.entry import Entry, Submission
from tidings.core.state import Applied
from tidings.engine.fresh_blobs import FreshBlobs
from tidings.engine.journal import Journal
from tidings.engine.preference import Preference
from tidings.engine.publisher import Publisher
from tidings.engine.settings import Settings
from tidings.errors import Corrupt
from tidings.ports import Peers
from tidings.types import Slot

log = logging.getLogger(__name__)


class Forward(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Please publish this."""

    next_slot: Slot
    """The first slot that the sender has not folded."""
    submission: Submission


class Entries(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The entries of consecutive slots."""

    start: Slot
    entries: list[bytes]


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Please answer, if this reaches you."""


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The answer to a ping."""

    next_slot: Slot
    """The first slot that the sender has not folded."""


class Blob(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A blob that the sender has stored, and may come to name."""

    name: str
    data: bytes


Message = Forward | Entries | Ping | Pong | Blob

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def incarnation_of(node_id: str, nonce: str) -> str:
    """Name one life of a node."""
    return f"{node_id}/{nonce}"


def node_of(incarnation: str) -> str:
    """Return the node of an incarnation."""
    return incarnation.rpartition("/")[0]


class Gossip:
    """The talk between this node and its peers."""

    def __init__(
        self,
        incarnation: str,
        peers: Peers,
        journal: Journal,
        fresh: FreshBlobs,
        *,
        preference: Preference,
        settings: Settings,
    ) -> None:
        self._incarnation = incarnation
        self._peers = peers
        self._journal = journal
        self._fresh = fresh
        self._preference = preference
        self._settings = settings
        # The first slot that each peer is not known to have; nothing for those never heard of.
        # Only goes up.
        self._known: dict[str, Slot] = {}
        # The first slot after the newest that this node filled: what it has to spread.
        self._filled_here = Slot(0)
        self._filled = asyncio.Event()

    @property
    def has_peers(self) -> bool:
        """Whether there is anybody to talk to now."""
        return self._settings.gossip and len(self._peers.node_ids) > 1

    def _is_peer(self, name: str) -> bool:
        return name != self._peers.node_id and name in self._peers.node_ids

    def forward(self, name: str, submission: Submission) -> None:
        """Ask a node to publish a submission."""
        message = Forward(self._journal.state.next_slot, submission)
        self._peers.send(name, _encoder.encode(message))

    def ping(self, name: str) -> None:
        """Ask a node to show that it is there."""
        self._peers.send(name, _encoder.encode(Ping()))

    def spread_blob(self, name: str, data: bytes) -> None:
        """Tell all others of a blob that this node has stored, and keep it for itself."""
        self._fresh.hold(name, data)
        if self.has_peers and len(data) <= self._settings.gossip_blob_bytes_max:
            message = _encoder.encode(Blob(name, data))
            for peer in self._peers.node_ids:
                if self._is_peer(peer):
                    self._peers.send(peer, message)

    def observe(self, slot: Slot, entry: Entry, _applied: list[Applied]) -> None:
        """Spread an entry of this node's; it is folded, so all before it is at hand."""
        if entry.publisher != self._incarnation:
            return
        if not self.has_peers:
            # Whoever comes may be a new life of one that left.
            self._known.clear()
            return
        self._filled_here = Slot(slot + 1)
        for submission in entry.submissions:
            self._send_entries(node_of(submission.origin))
        self._filled.set()

    def handle(self, source: str, data: bytes, publisher: Publisher) -> None:
        """Take a peer's message; what makes no sense is dropped and logged."""
        try:
            message = _decoder.decode(data)
            match message:
                case Forward(next_slot, submission):
                    self._note_known(source, next_slot)
                    publisher.offer(submission)
                case Entries(start, entries):
                    self._note_known(source, Slot(start + len(entries)))
                    self._journal.learn(start, entries)
                case Ping():
                    self._peers.send(source, _encoder.encode(Pong(self._journal.state.next_slot)))
                case Pong(next_slot):
                    self._note_known(source, next_slot)
                    self._preference.trust(source)
                case Blob(name, blob):
                    self._fresh.hold(name, blob)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Corrupt) as error:
            log.warning("dropped a message from %s: %s", source, error)

    def _note_known(self, name: str, next_slot: Slot) -> None:
        if self._is_peer(name):
            self._known[name] = max(self._known.get(name, Slot(0)), next_slot)

    async def run(self) -> None:
        """Spread entries at intervals, while there are any, until cancelled."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(self._settings.gossip_interval_s)
            self._filled.clear()
            self._forget_those_who_left()
            for name in list(self._peers.node_ids):
                self._send_entries(name)

    def _forget_those_who_left(self) -> None:
        for name in [name for name in self._known if not self._is_peer(name)]:
            del self._known[name]

    def _send_entries(self, name: str) -> None:
        """Send a peer what it lacks up to the newest slot filled here, as far as it is at hand."""
        known = self._known.get(name, Slot(0))
        if known >= self._filled_here or not self._is_peer(name):
            return
        batch: list[bytes] = []
        size = 0
        for slot in range(self._filled_here - 1, known - 1, -1):
            held = self._journal.entries.get(Slot(slot))
            if held is None or (batch and size + len(held[0]) > self._settings.gossip_bytes_max):
                break
            batch.append(held[0])
            size += len(held[0])
        self._known[name] = self._filled_here
        if batch:
            batch.reverse()
            start = Slot(self._filled_here - len(batch))
            self._peers.send(name, _encoder.encode(Entries(start, batch)))
