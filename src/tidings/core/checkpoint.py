"""A checkpoint: the state at a page boundary, so that nobody has to fold the journal from slot 0.

It holds everything that the fold needs, and of the index only what no durable page holds: a node
that starts from it reads the rest from pages, as it does after pruning.

    C1  a checkpoint is taken only where a page has just been sealed, so that every index entry is
        in a page.
"""

import msgspec

from tidings.core import documents
from tidings.core.blob_numbers import BlobNumbers
from tidings.core.collection import Collection
from tidings.core.groups import Group, Groups
from tidings.core.pages import Page, PageFormat, Spine
from tidings.core.partition import Partition
from tidings.core.producers import Producer, Producers
from tidings.core.state import State
from tidings.core.topics import Topic, Topics
from tidings.types import Offset, Slot, TopicPartition


class PartitionState(msgspec.Struct, frozen=True, array_like=True):
    """A partition without its index."""

    name: TopicPartition
    end_offset: Offset
    end_bytes: int
    highest_ms: int
    log_start_offset: Offset
    collected_offset: Offset
    start_bytes: int
    spine: Spine
    producers: dict[int, Producer]


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of a `State`."""

    page_format: PageFormat
    next_slot: Slot
    topics: dict[str, Topic]
    partitions: list[PartitionState]
    groups: dict[str, Group]
    next_producer_id: int
    origins: dict[str, tuple[int, Slot]]
    open_page: int
    durable_pages: int
    durable_slot: Slot
    unwritten: list[Page]
    collection: Collection
    blob_numbers: BlobNumbers


def take_checkpoint(state: State) -> Checkpoint:
    """Return a checkpoint that shares nothing mutable with `state`, once it is encoded."""
    assert state.is_at_page_boundary, f"C1: {state.next_slot} is not a page boundary"
    return Checkpoint(
        state.page_format,
        state.next_slot,
        state.topics,
        [_without_index(name, partition) for name, partition in state.partitions.items()],
        state.groups,
        state.next_producer_id,
        state.origins,
        state.open_page,
        state.durable_pages,
        state.durable_slot,
        list(state.unwritten.values()),
        state.collection,
        state.blob_numbers,
    )


def _without_index(name: TopicPartition, partition: Partition) -> PartitionState:
    return PartitionState(
        name,
        partition.end_offset,
        partition.end_bytes,
        partition.highest_ms,
        partition.log_start_offset,
        partition.collected_offset,
        partition.start_bytes,
        partition.spine,
        partition.producers.known,
    )


def restore_checkpoint(checkpoint: Checkpoint) -> State:
    """Return the state from which the checkpoint was taken."""
    state = State(
        checkpoint.page_format,
        Topics(checkpoint.topics),
        Groups(checkpoint.groups),
        checkpoint.collection,
        checkpoint.blob_numbers,
    )
    state.next_slot = state.open_slot = checkpoint.next_slot
    state.open_page = checkpoint.open_page
    state.next_producer_id = checkpoint.next_producer_id
    for part in checkpoint.partitions:
        partition = Partition(part.end_offset, part.spine, Producers(part.producers))
        partition.end_bytes, partition.highest_ms = part.end_bytes, part.highest_ms
        partition.delete_records(part.log_start_offset, part.start_bytes)
        partition.collected_offset = part.collected_offset
        state.partitions[part.name] = partition
    state.origins = checkpoint.origins
    state.durable_pages = checkpoint.durable_pages
    state.durable_slot = checkpoint.durable_slot
    for page in checkpoint.unwritten:
        state.unwritten[page.number] = page
        for name, section in ((part.partition, part.section) for part in page.sections):
            state.restore_section(name, page.number, section)
    return state


_decoder = msgspec.msgpack.Decoder(Checkpoint)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of the checkpoint's blob."""
    return documents.encode(documents.Kind.CHECKPOINT, checkpoint)


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint in a blob's bytes; raise `Corrupt` if they are not one."""
    return documents.decode(documents.Kind.CHECKPOINT, data, _decoder)
