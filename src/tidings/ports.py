"""The ports: all that the engine asks of the outside. Their docstrings are the contract.

Every call has a deadline of the store's own: none waits for ever. Names and slots belong
to one journal; a store object serves one journal, whose name is part of every key that it uses.
`tidings.testing.contract` tries any implementation, and quotes these sentences when one is broken.
"""

from dataclasses import dataclass
from typing import Protocol

from tidings.types import Slot

NAME_CHARACTERS_MAX = 200
"""The longest name of a cell or blob. A name is any text without NUL, and not empty."""

MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""The longest message between nodes: room for the largest entry of every store."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The slot now holds the entry, for good.

    It may have held this very entry before, if an earlier try was unsettled.
    """


@dataclass(frozen=True, slots=True)
class Occupied:
    """The slot was filled before; nothing was changed.

    It may be this very entry that fills it, if an earlier try was unsettled. `entry` is what the
    slot holds, where the store learns that for free.
    """

    entry: bytes | None = None


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The slot lies below the trim boundary: it was filled once and can never be filled again."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """No answer in time. The slot may hold the entry, or may come to hold it still.

    Never a failure: repeat the same append to the same slot until it is settled.
    """

    reason: str = ""


AppendOutcome = Appended | Occupied | Trimmed | Unsettled


class OrderStore(Protocol):
    """The linearizable store that orders everything: slots, and a few named cells."""

    entry_bytes_max: int
    """The largest entry that fits a slot."""

    can_trim: bool
    """Whether `trim` lets go of slots. If not, it does nothing, and no call says `Trimmed`."""

    is_exclusive: bool
    """Whether nobody else writes while this client is open.

    Then there is one client, which may be shared, and what it was told is all there is.
    """

    inline_bytes_max: int
    """Record batches up to this size are best kept in the entry; larger ones go to a blob."""

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """Fill `slot` with `entry` if it is empty: one compare-and-swap.

        Slots are filled without gaps: the caller appends to *n* only when it knows that *n - 1*
        is filled. Whether *n* was trimmed is decided in the same atomic step. An append that got
        no answer may arrive at any later time, also after it was repeated; it is an append like
        any other then, and a slot that is filled or was trimmed stays as it is.

        Raises:
            InvalidRequest: The entry is larger than `entry_bytes_max`, and nothing was done. A
                store may take it as well, but whole.
            Unavailable: The store refused, because it is full, say; this call did nothing and will
                do nothing. What an earlier, unsettled one may still do is as open as before.
        """

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """Return the entries from `start` on, in order, up to the first empty slot.

        Linearizable: an empty list means that at some moment of this call `start` was empty, so
        that every append which had been settled before the call lies below it. Each slot is read
        so; they need not all be read at one moment. The answer is `Trimmed` if `start` was trimmed,
        and has at most `count_max` entries.

        Raises:
            Unavailable: No answer in time.
            Corrupt: A slot does not hold what was written there.
        """

    async def trim(self, below: Slot) -> None:
        """Let go of the slots below `below`, if the store can; never moves the boundary back.

        The caller knows that all of them are filled. When this returns, each of them is trimmed for
        every client, and the others are as they were.

        Raises:
            Unavailable: No answer in time; some slots may be gone, or may still go.
        """

    async def read_cell(self, name: str) -> bytes | None:
        """Return a cell's value, linearizably; None if it was never set.

        Raises:
            Unavailable: No answer in time.
            Corrupt: The cell does not hold what was written there.
        """

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """Set a cell if it holds `old` (None: if it was never set); return whether it was set.

        Raises:
            Indeterminate: No answer in time; the swap may still happen, once.
            Unavailable: The store refused; the swap did not happen and will not.
        """


class BlobStore(Protocol):
    """Immutable bytes under names that are used once."""

    can_delete: bool
    """Whether `delete` lets go of blobs. If not, `delete` does nothing."""

    async def put(self, name: str, data: bytes) -> None:
        """Store a blob; durable when this returns. Repeating it with the same data is harmless.

        Every get of every client that begins after this returned finds it.

        Raises:
            Unavailable: Not known to be stored, and may still come to be; put it again.
        """

    async def get(self, name: str) -> bytes | None:
        """Return a blob's bytes; None if it certainly was not stored when the call began.

        Where a store's reads may be stale, the adapter makes sure before it says None. What anybody
        got once, everybody gets from then on, until it is deleted.

        Raises:
            Unavailable: No answer in time.
            Corrupt: The stored bytes are not those that were put.
        """

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """Return at most `size_bytes` of a blob's bytes, from `position` on.

        Fewer come only where the blob ends: `get_range` gives what the same slice of `get` gives,
        and None where `get` gives None.

        Raises:
            Unavailable: No answer in time.
            Corrupt: The stored bytes are not those that were put.
        """

    async def delete(self, name: str) -> None:
        """Let go of a blob, if the store can; there may be none of that name.

        The caller knows that nobody needs it any more. When this returns, a blob that was deleted
        stays gone for every client; only a put of it that is still under way may bring it back.

        Raises:
            Unavailable: No answer in time; the blob may be gone, or may still go.
        """


class Peers(Protocol):
    """The other nodes. Messages may be lost, delayed, doubled and reordered; never altered.

    A link that loses nothing delivers everything.
    What arrives is handed to the node, with its sender's name, by whoever put the node together.
    """

    node_id: str
    """This node."""

    node_ids: list[str]
    """Every node that may exist, this one included. The same list for good; where nodes come and
    go, its contents change."""

    def send(self, node_id: str, message: bytes) -> None:
        """Send a message to another node; never waits, promises nothing.

        It arrives whole at that node and no other, with the name of this one, or not at all. To a
        node that is away, or that is none of `node_ids`, it is lost, and nothing is raised. So is
        one that is longer than `MESSAGE_BYTES_MAX`, if the link likes.
        """


class Clock(Protocol):
    """The wall clock. Deadlines and intervals use the event loop's own time instead."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970, UTC. May jump."""
