"""The version order: what stood where in each key's log, as far as anybody saw.

It is inferred from the offsets in acknowledged sends, in sends of unknown outcome whose message was
polled, and in ALL polls: a consumer must only ever be given committed records, whatever became of
the operation that polled them. An offset where nobody saw anything is no gap in the order: brokers
use up offsets for records of their own. So distances are measured in *ranks*, an offset's place
among those known.

An offset may turn out to hold several messages (`inconsistent-offsets`). Then one of them must
stand for it in the order; which one is decided as Jepsen does, by the iteration order of Clojure's
hash sets, because later judgements depend on it and must agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tidings.checker.operations import UNKNOWN_OFFSET, Batch, Message

_WORD = 0xFFFFFFFF


@dataclass(slots=True)
class Log:
    """What was seen of one key's log, in no order."""

    message_at: dict[int, Message] = field(default_factory=dict)
    """The first message seen at each offset."""
    witness_at: dict[int, int] = field(default_factory=dict)
    """`Event.index` of the event that first showed it."""
    rivals_at: dict[int, dict[Message, int]] = field(default_factory=dict)
    """Further messages seen at an offset, with the event that showed each first."""

    def learn(self, batch: Batch, event_index: int) -> None:
        """Take in the records of one event; those without an offset teach nothing."""
        message_at = self.message_at
        for offset, message in zip(batch.offsets, batch.messages, strict=True):
            if offset == UNKNOWN_OFFSET:
                continue
            known = message_at.get(offset)
            if known is None:
                message_at[offset] = message
                self.witness_at[offset] = event_index
            elif known != message:
                self.rivals_at.setdefault(offset, {}).setdefault(message, event_index)

    def messages_at(self, offset: int) -> dict[Message, int]:
        """Return every message seen at an offset with the event that first showed it."""
        first = {self.message_at[offset]: self.witness_at[offset]}
        return first | self.rivals_at.get(offset, {})


@dataclass(slots=True)
class VersionOrder:
    """One key's log in order of offsets."""

    log: Log
    offsets: list[int]
    """The known offsets, ascending; a rank is an index into this list."""
    messages: list[Message]
    """The message that stands for each rank."""
    rank_of: dict[Message, int]
    """The rank of each message in the order: the last, where it stands at several."""

    def records(self) -> Iterator[tuple[int, Message]]:
        """Yield (rank, message) for everything seen, ranks ascending."""
        rivals_at = self.log.rivals_at
        for rank, offset in enumerate(self.offsets):
            if offset in rivals_at:
                for message in self.log.messages_at(offset):
                    yield rank, message
            else:
                yield rank, self.messages[rank]

    def witness(self, rank: int) -> int:
        """Return `Event.index` of the event that first showed the message that stands there."""
        offset = self.offsets[rank]
        return self.log.messages_at(offset)[self.messages[rank]]

    def delta(self, earlier: Message | None, later: Message | None) -> int:
        """Return how many ranks `later` comes after `earlier`; 1 if either's place is unknown."""
        if earlier is None or later is None:
            return 1
        from_rank = self.rank_of.get(earlier)
        to_rank = self.rank_of.get(later)
        return 1 if from_rank is None or to_rank is None else to_rank - from_rank


def order_log(log: Log) -> VersionOrder:
    """Put what was seen of a log in order."""
    offsets = sorted(log.message_at)
    messages = [log.message_at[offset] for offset in offsets]
    for rank, offset in enumerate(offsets):
        if offset in log.rivals_at:
            messages[rank] = min(log.messages_at(offset), key=_clojure_set_position)
    rank_of = {message: rank for rank, message in enumerate(messages)}
    return VersionOrder(log, offsets, messages, rank_of)


def _clojure_set_position(message: Message) -> tuple[int, ...]:
    """Return a sort key that orders integers as a Clojure set iterates over them.

    Clojure keeps a set as a trie over five bits of the hash at a time, lowest first. Only integers
    are known to need it (a Maelstrom message is one); all others count as equal and come last.
    """
    if not isinstance(message, int):
        return (1 << 5,)
    code = _murmur3(message)
    return tuple(code >> shift & 31 for shift in range(0, 32, 5))


def _murmur3(number: int) -> int:
    """Return the hash of a 64-bit integer in Clojure: Murmur3 (32 bits, seed 0), but 0 for 0."""
    if number == 0:
        return 0
    code = 0
    for word in (number & _WORD, number >> 32 & _WORD):
        mixed = _rotate(word * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
        code = _rotate(code ^ mixed, 13) * 5 + 0xE6546B64 & _WORD
    code ^= 8
    code = (code ^ code >> 16) * 0x85EBCA6B & _WORD
    code = (code ^ code >> 13) * 0xC2B2AE35 & _WORD
    return code ^ code >> 16


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD
