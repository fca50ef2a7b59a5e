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
    max_timestamp_ms: int = -1
    """The highest timestamp of its records; -1 to take the time of the append."""


class CreateTopic(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Make a topic with partitions 0 … partition_count - 1, unless it exists."""

    topic: str
    partition_count: int
    topic_id: bytes
    """16 bytes that no other topic ever had."""
    configs: dict[str, str] = {}


ANY_VERSION = -1
"""Whatever version a group's document has, and whether there is one."""


class CommitOffsets(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Set a consumer group's committed offsets: of each partition the next offset to read."""

    group: str
    offsets: list[tuple[TopicPartition, Offset]]
    may_move_back: bool = False
    details: list[tuple[int, str]] = []
    """Leader epoch and metadata of each of the offsets, in their order; or empty."""
    version: int = ANY_VERSION
    """The version of the group's document that this follows from; nothing is done at another."""


class MarkPagesDurable(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """State that every index page up to and including this one is in the blob store."""

    page: int


class DeleteTopic(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Forget a topic, its records and what groups committed of it.

    A topic that is created later under the same name is another one.
    """

    topic: str


class CreatePartitions(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Add partitions to a topic until there are `partition_count`."""

    topic: str
    partition_count: int


class AlterTopic(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Change configs of a topic; None removes one."""

    topic: str
    configs: dict[str, str | None]


class DeleteRecords(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Move a partition's log start offset forward."""

    partition: TopicPartition
    before_offset: Offset
    before_bytes: int
    """Record bytes of all batches that ever were in the partition and end below `before_offset`."""
    topic_id: bytes
    """The topic that is meant: another one of the same name keeps its records."""


class AllocateProducerId(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Give out a producer id that nobody else has."""


class SaveGroup(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Replace a group's document, if `version` follows the stored one: a compare-and-swap."""

    group: str
    version: int
    document: bytes
    """What the fold does not look into."""


class DeleteOffsets(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Forget what a group committed of some partitions."""

    group: str
    partitions: list[TopicPartition]
    version: int = ANY_VERSION
    """As of `CommitOffsets`."""


class DeleteGroup(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Forget a group: its committed offsets and its document."""

    group: str
    version: int = ANY_VERSION
    """As of `CommitOffsets`."""


class ReleaseSections(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """State that nobody will read the sections of a partition between two offsets any more."""

    partition: TopicPartition
    topic_id: bytes
    condemned: int
    """Which partition of deleted topics it is; -1 if the topic exists."""
    from_offset: Offset
    """Where the release before ended."""
    to_offset: Offset
    pages: list[int]
    """The pages that hold these sections, ascending."""
    sizes: list[int] = []
    """What each of these sections takes (`pages.stored_size`); or empty."""


class ForgetPages(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """State that the blobs of dead pages are deleted."""

    pages: list[int]


class BlobRange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers of data blobs of one origin."""

    origin: str
    first_number: int
    end_number: int
    """The first after them."""


class ReserveBlobs(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Let an origin store blobs under numbers that are higher than all that it had before.

    What it had and has not named is doomed.
    """

    numbers: BlobRange


class DoomBlobs(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """State that numbers which no submission has named yet are not to be named any more."""

    ranges: list[BlobRange]


class ForgetBlobs(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """State that the blobs of doomed numbers are deleted, if there were any."""

    ranges: list[BlobRange]


class ForgetCheckpoints(msgspec.Struct, frozen=True, array_like=True, tag=17, gc=False):
    """State that the blobs of all checkpoints below a slot are deleted, if there were any."""

    below: Slot


class RewritePage(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """Let a durable page be what a blob says from now on: without the sections that are released.

    Refused if the page was rewritten by somebody else in between: a compare-and-swap.
    """

    page: int
    before: InBlob | None
    """Where its document was, if it had been rewritten before."""
    blob: Inline | InBlob
    """Record bytes, and then the page's document. Lanes put it into a blob, whatever its size."""
    document_position: int
    stored_bytes: int
    """About how many bytes the page takes from now on, as of `pages.stored_size`."""


class ForgetFormerBlobs(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """State that the blobs are deleted that rewritten pages do not need any more."""

    documents: dict[int, str]
    """Of each of these pages the blob with the document that told which."""


Operation = (
    Append
    | CreateTopic
    | CommitOffsets
    | MarkPagesDurable
    | DeleteTopic
    | CreatePartitions
    | AlterTopic
    | DeleteRecords
    | AllocateProducerId
    | SaveGroup
    | DeleteOffsets
    | DeleteGroup
    | ReleaseSections
    | ForgetPages
    | ReserveBlobs
    | DoomBlobs
    | ForgetBlobs
    | ForgetCheckpoints
    | RewritePage
    | ForgetFormerBlobs
)


OPERATION_BYTES = 96
"""About what an operation takes besides record bytes, documents, texts and names."""


def operation_size(operation: Operation) -> int:
    """About how many bytes of an entry an operation takes."""
    return OPERATION_BYTES + _extra_size(operation)


def _extra_size(operation: Operation) -> int:
    if isinstance(operation, Append):
        # Nearly all are, and to match patterns takes several times as long.
        payload = operation.payload
        size = len(payload.data) if isinstance(payload, Inline) else _text_size(payload.name)
        return _text_size(operation.partition.topic) + size
    match operation:
        case CommitOffsets(group, offsets, _, details):
            texts = sum(_text_size(metadata) for _, metadata in details)
            return _text_size(group) + texts + _names_size([name for name, _ in offsets])
        case CreateTopic(topic, configs=configs) | AlterTopic(topic, configs):
            return _text_size(topic) + sum(
                2 * TEXT_BYTES + _text_size(key) + _text_size(value or "")
                for key, value in configs.items()
            )
        case ReleaseSections(partition, pages=pages):
            return _text_size(partition.topic) + 2 * PAGE_NUMBER_BYTES * len(pages)
        case ForgetPages(pages):
            return PAGE_NUMBER_BYTES * len(pages)
        case ReserveBlobs(numbers):
            return _text_size(numbers.origin)
        case RewritePage(before=before, blob=blob):
            return sum(_text_size(each.name) for each in (before, blob) if isinstance(each, InBlob))
        case ForgetFormerBlobs(documents):
            return sum(PAGE_NUMBER_BYTES + _text_size(name) for name in documents.values())
        case DoomBlobs(ranges) | ForgetBlobs(ranges):
            return sum(RANGE_BYTES + _text_size(each.origin) for each in ranges)
        case DeleteRecords(partition):
            return _text_size(partition.topic)
        case DeleteTopic(name) | CreatePartitions(name) | DeleteGroup(name):
            return _text_size(name)
        case SaveGroup(group, _, document):
            return _text_size(group) + len(document)
        case DeleteOffsets(group, partitions):
            return _text_size(group) + _names_size(partitions)
        case (
            MarkPagesDurable() | AllocateProducerId() | ForgetCheckpoints()
        ):  # pragma: no branch: the last kinds
            return 0


PAGE_NUMBER_BYTES = 9

RANGE_BYTES = 24
"""The most that a range of blob numbers takes besides its origin."""

TEXT_BYTES = 5
"""The most that MessagePack puts in front of a text."""


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _names_size(names: list[TopicPartition]) -> int:
    return sum(OPERATION_BYTES + _text_size(name.topic) for name in names)


class Submission(msgspec.Struct, frozen=True, array_like=True):
    """Operations that one node gathered, to be applied together, in order, once."""

    origin: str
    """The node's incarnation: unique for each start of each node."""
    number: int
    """Counts up by one for each submission of this origin."""
    last_slot: Slot
    """The last slot at which it may still be applied; later it is as if it had never been."""
    operations: list[Operation]
    blob_number: int = 0
    """The reserved number of the one blob that its operations name; 0 for none.

    Stays 0 where stores cannot delete: nothing is reserved there.
    """

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
