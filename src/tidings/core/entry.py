"""What fills a slot of the journal: an entry, its submissions and their operations.

An *operation* is what a client asked for. A *submission* is what one node gathered from its clients
and wants ordered together; it is numbered by its origin, so that it is applied once however often
it is published. An *entry* holds the submissions that one publisher ordered with one conditional
append.

Record bytes are opaque here: a record batch is a count and a payload.
"""

import msgspec

from tidings.core import documents
from tidings.types import Offset, Slot, TopicPartition


class Inline(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """Record bytes that travel in the entry itself."""

    data: bytes


class InBlob(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Record bytes in a blob, which is durable BEFORE the entry that names it."""

    name: str
    position: int
    size_bytes: int


class ProducerStamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who produced a batch, for idempotence (KIP-98); the fields of a Kafka batch header."""

    producer_id: int
    epoch: int
    base_sequence: int


class Append(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Put one record batch at the end of a partition."""

    partition: TopicPartition
    record_count: int
    payload: Inline | InBlob
    producer: ProducerStamp | None = None


class CreateTopic(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Make a topic with partitions 0 … partition_count - 1, unless it exists."""

    topic: str
    partition_count: int


class CommitOffsets(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Set a consumer group's committed offsets: of each partition the next offset to read."""

    group: str
    offsets: list[tuple[TopicPartition, Offset]]
    may_move_back: bool = False


class MarkPagesDurable(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """State that every index page up to and including this one is in the blob store."""

    page: int


Operation = Append | CreateTopic | CommitOffsets | MarkPagesDurable


OPERATION_BYTES = 96
"""About what an operation takes besides inline record bytes and names."""


def operation_size(operation: Operation) -> int:
    """About how many bytes of an entry an operation takes."""
    match operation:
        case Append(partition, _, Inline(data)):
            return OPERATION_BYTES + len(partition.topic) + len(data)
        case Append(partition, _, InBlob(name)):
            return OPERATION_BYTES + len(partition.topic) + len(name)
        case CreateTopic(topic):
            return OPERATION_BYTES + len(topic)
        case CommitOffsets(group, offsets):
            names = sum(OPERATION_BYTES + len(partition.topic) for partition, _ in offsets)
            return OPERATION_BYTES + len(group) + names
        case _:
            return OPERATION_BYTES


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """Operations that one node gathered, to be applied together, in order, once."""

    origin: str
    """The node's incarnation: unique for each start of each node."""
    number: int
    """Counts up by one for each submission of this origin."""
    last_slot: Slot
    """The last slot at which it may still be applied; later it is as if it had never been."""
    operations: list[Operation]

    @property
    def size_bytes(self) -> int:
        """About how much of an entry it takes."""
        return sum(map(operation_size, self.operations))


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one conditional append puts into one slot."""

    publisher: str
    """The incarnation that filled the slot; makes entries of different nodes differ."""
    published_ms: int
    """The publisher's wall clock, milliseconds since 1970; the append time of its records."""
    submissions: list[Submission]


_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes that go into the slot."""
    return documents.encode(documents.Kind.ENTRY, entry)


def decode_entry(data: bytes) -> Entry:
    """Return the entry in a slot's bytes; raise `Corrupt` if they are not one."""
    return documents.decode(documents.Kind.ENTRY, data, _decoder)
