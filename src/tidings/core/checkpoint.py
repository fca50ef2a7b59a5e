"""A checkpoint: the state at a page boundary, so that nobody has to fold the journal from slot 0.

It holds everything that the fold needs, and of the index only what no durable page holds: a node
that starts from it reads the rest from pages, as it does after pruning.

    C1  a checkpoint is taken only where a page has just been sealed (next_slot is a multiple of
        PAGE_SLOTS), so that every index entry is in a page.
"""

import msgspec

from tidings.core import documents
from tidings.core.pages import PAGE_SLOTS, Page, Spine
from tidings.core.partition import Partition
from tidings.core.producers import Producer, Producers
from tidings.core.state import State
from tidings.types import Offset, Slot, TopicPartition


class PartitionState(msgspec.Struct, frozen=True, array_like=True):
    """A partition without its index."""

    name: TopicPartition
    end_offset: Offset
    spine: Spine
    producers: dict[int, Producer]


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of a `State`."""

    next_slot: Slot
    topics: dict[str, int]
    partitions: list[PartitionState]
    groups: dict[str, list[tuple[TopicPartition, Offset]]]
    origins: dict[str, tuple[int, Slot]]
    durable_pages: int
    unwritten: list[Page]


def take_checkpoint(state: State) -> Checkpoint:
    """Return a checkpoint that shares nothing mutable with `state`, once it is encoded."""
    assert state.next_slot % PAGE_SLOTS == 0, f"C1: {state.next_slot} is not a page boundary"
    return Checkpoint(
        state.next_slot,
        state.topics,
        [
            PartitionState(name, partition.end_offset, partition.spine, partition.producers.known)
            for name, partition in state.partitions.items()
        ],
        {group: list(committed.items()) for group, committed in state.groups.items()},
        state.origins,
        state.durable_pages,
        list(state.unwritten.values()),
    )


def restore_checkpoint(checkpoint: Checkpoint) -> State:
    """Return the state from which the checkpoint was taken."""
    state = State()
    state.next_slot = checkpoint.next_slot
    state.topics = checkpoint.topics
    for part in checkpoint.partitions:
        partition = Partition(part.end_offset, part.spine, Producers(part.producers))
        state.partitions[part.name] = partition
    state.groups = {group: dict(committed) for group, committed in checkpoint.groups.items()}
    state.origins = checkpoint.origins
    state.durable_pages = checkpoint.durable_pages
    for page in checkpoint.unwritten:
        state.unwritten[page.number] = page
        for name, section in ((part.partition, part.section) for part in page.sections):
            state.partitions[name].restore(page.number, section)
            state.index_size += len(section.entries)
    return state


_decoder = msgspec.msgpack.Decoder(Checkpoint)


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of the checkpoint's blob."""
    return documents.encode(documents.Kind.CHECKPOINT, checkpoint)


def decode_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint in a blob's bytes; raise `Corrupt` if they are not one."""
    return documents.decode(documents.Kind.CHECKPOINT, data, _decoder)
