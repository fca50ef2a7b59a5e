"""The brokers of a cluster: who has registered, who is alive, and who is preferred for what.

All registrations stand in one cell of the order store. A broker swaps its *beat* there, a number
that goes up, every `beat_interval_s`; on leaving it takes itself out. No clock is compared with
another: a broker is alive to an observer if its beat has changed within `session_s` of the
observer's own loop time, and its process was not seen to have ended since. Observers may differ for
a while. Nothing depends on their agreement, for any broker serves any partition, and group
documents are fenced by their versions: a preference only makes clients spread and find the same
coordinator.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from tidings.errors import Corrupt, Unavailable
from tidings.kafka.known_brokers import Listener

CELL = "brokers"
"""The name of the cell."""

BROKERS_MAX = 1000
"""More do not register."""


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """What a broker says of itself. Fields may be added at the end, with defaults."""

    node_id: int
    incarnation: str
    """Names one life of the broker."""
    host: str
    port: int
    """Where clients connect."""
    gossip_host: str
    gossip_port: int
    rack: str | None
    beat: int
    is_serving: bool = False
    """Whether it knows the journal; until then it has only taken its node id."""
    metrics_port: int | None = None
    """Where its metrics are, on the host that clients connect to, if anywhere."""
    listeners: tuple[Listener, ...] = ()
    """Where clients connect that ask on other listeners; each has a name."""

    @property
    def every_listener(self) -> tuple[Listener, ...]:
        """Where clients connect, by listener; the first has no name."""
        return Listener(self.host, self.port), *self.listeners

    def listener_named(self, name: str) -> Listener | None:
        """Return where clients connect that ask on listeners of a name; None: nowhere."""
        return next((each for each in self.every_listener if each.name == name), None)


_decoder = msgspec.msgpack.Decoder(list[Registration])


def decode_brokers(cell: bytes | None) -> list[Registration]:
    """Return what the cell holds, by node id.

    Raises:
        Corrupt: It holds something else.
    """
    if cell is None:
        return []
    try:
        return _decoder.decode(cell)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"the cell {CELL} holds no registrations of brokers: {error}") from error


def encode_brokers(brokers: Iterable[Registration]) -> bytes:
    """Return what the cell is to hold."""
    return msgspec.msgpack.encode(sorted(brokers, key=lambda broker: broker.node_id))


def registered(brokers: Sequence[Registration], own: Registration) -> list[Registration]:
    """Return the brokers with `own` in place of whatever had its node id.

    Raises:
        Unavailable: There are too many already.
    """
    others = [broker for broker in brokers if broker.node_id != own.node_id]
    if len(others) >= BROKERS_MAX:
        raise Unavailable(f"{BROKERS_MAX} brokers have registered already, which is the most")
    return [*others, own]


class Sightings:
    """Since when this observer has not seen each broker's beat change."""

    def __init__(self) -> None:
        # By node id: incarnation and beat, and when these were new.
        self._seen: dict[int, tuple[str, int, float]] = {}
        # Those whose end was seen otherwise, and the beat before.
        self._ended: dict[int, tuple[str, int, float]] = {}

    def note(self, brokers: Sequence[Registration], now: float) -> None:
        """Take what the cell held just now, in loop time; who is new is alive."""
        seen = {}
        for broker in brokers:
            former = self._seen.get(broker.node_id)
            if former is None or former[:2] != (broker.incarnation, broker.beat):
                former = (broker.incarnation, broker.beat, now)
            seen[broker.node_id] = former
        self._seen = seen
        self._ended = {
            node_id: beat for node_id, beat in self._ended.items() if seen.get(node_id) == beat
        }

    def note_ended(self, node_id: int) -> None:
        """Note that a broker has ended that may have been noted."""
        if node_id in self._seen:
            self._ended[node_id] = self._seen[node_id]

    def has_ended(self, node_id: int) -> bool:
        """Whether a broker was seen to have ended, and has not beaten since."""
        return node_id in self._ended

    def silent_s(self, node_id: int, now: float) -> float:
        """Return since when a broker has not beaten; it is one of those that were noted last."""
        return now - self._seen[node_id][2]


def preferred(thing: str, node_ids: Sequence[int]) -> int:
    """Return which of these brokers, one at least, is preferred for a partition or a group.

    Rendezvous hashing (Thaler & Ravishankar 1998): when one dies, only what it had moves.
    """
    return max(node_ids, key=lambda node_id: _weight(thing, node_id))


def _weight(thing: str, node_id: int) -> bytes:
    return hashlib.blake2b(f"{thing}/{node_id}".encode(), digest_size=16).digest()
