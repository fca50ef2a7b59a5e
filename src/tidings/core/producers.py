"""Idempotence: which batches of a producer a partition already holds (KIP-98).

A producer numbers the records it sends to a partition. A batch is placed only if its first number
follows the last one placed; a batch that is already there is answered with the offset it got.

    R1  a batch of one (producer id, epoch, base sequence) is placed at most once;
    R2  sequences of a producer and epoch have no gaps: next = last + 1, wrapping past 2^31 - 1;
    R3  an epoch never goes back.
"""

from enum import Enum

import msgspec

from tidings.core.entry import ProducerStamp
from tidings.types import Offset

REMEMBERED_BATCHES = 5
"""As many as a Kafka producer may have in flight (max.in.flight.requests.per.connection)."""

SEQUENCE_MODULUS = 2**31


class Verdict(Enum):
    """Why a batch is not placed."""

    FENCED = "a newer epoch of this producer exists"
    OUT_OF_ORDER = "the sequence number is not the next one"


class PlacedBatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch that is in the log."""

    base_sequence: int
    last_sequence: int
    base_offset: Offset


class Producer(msgspec.Struct, array_like=True):
    """What a partition remembers of one producer id."""

    epoch: int
    placed_ms: int
    """When it last placed a batch; producers idle for long are forgotten."""
    recent: list[PlacedBatch]
    """The newest batches of this epoch, oldest first."""


class Producers:
    """The producers of one partition."""

    def __init__(self, known: dict[int, Producer] | None = None) -> None:
        # Producer id to what is known of it. Grows by `record`, shrinks by `forget`.
        self.known = known or {}

    def check(self, stamp: ProducerStamp, record_count: int) -> PlacedBatch | Verdict | None:
        """Say what becomes of a batch: None to place it, else the batch it repeats or a refusal.

        A producer that is not known may start with any sequence, as in Kafka: its state may
        have been forgotten, which must not stop it.
        """
        producer = self.known.get(stamp.producer_id)
        if producer is None:
            return None
        if stamp.epoch < producer.epoch:
            return Verdict.FENCED
        if stamp.epoch > producer.epoch:
            return None if stamp.base_sequence == 0 else Verdict.OUT_OF_ORDER
        last_sequence = _advance(stamp.base_sequence, record_count - 1)
        for batch in producer.recent:
            if (batch.base_sequence, batch.last_sequence) == (stamp.base_sequence, last_sequence):
                return batch
        expected = _advance(producer.recent[-1].last_sequence, 1)
        return None if stamp.base_sequence == expected else Verdict.OUT_OF_ORDER

    def record(
        self, stamp: ProducerStamp, record_count: int, base_offset: Offset, placed_ms: int
    ) -> None:
        """Remember a batch that `check` let pass and that was placed."""
        producer = self.known.get(stamp.producer_id)
        if producer is None or producer.epoch != stamp.epoch:
            assert producer is None or producer.epoch < stamp.epoch, f"R3: {producer} {stamp}"
            producer = Producer(stamp.epoch, placed_ms, [])
            self.known[stamp.producer_id] = producer
        last_sequence = _advance(stamp.base_sequence, record_count - 1)
        producer.recent.append(PlacedBatch(stamp.base_sequence, last_sequence, base_offset))
        del producer.recent[:-REMEMBERED_BATCHES]
        producer.placed_ms = max(producer.placed_ms, placed_ms)

    def forget(self, before_ms: int) -> None:
        """Drop the producers that placed nothing since `before_ms`."""
        for producer_id in [p for p, known in self.known.items() if known.placed_ms < before_ms]:
            del self.known[producer_id]


def _advance(sequence: int, count: int) -> int:
    return (sequence + count) % SEQUENCE_MODULUS
