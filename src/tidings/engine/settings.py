"""Every bound and interval of the engine, with its unit."""

from dataclasses import dataclass

from tidings.core.limits import RESERVED_BLOBS_MAX, SUBMISSION_SLOTS_MAX
from tidings.errors import InvalidRequest

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the engine trades latency, messages and memory. The defaults suit Maelstrom."""

    # Group commit
    linger_s: float = 0.004
    """Least time between the starts of two publishes; who is idle goes on at once."""
    lanes: int = 1
    """Submissions of a node that may be on their way at once; with more than one, what is submitted
    at the same time may be applied in any order."""
    courtesy: float = 0.25
    """After filling a slot a publisher leaves others a random part of this many round trips."""
    submission_operations_max: int = 4096
    """Operations gathered into one submission."""
    submission_bytes_max: int = 256 * KIB
    """Inline record bytes gathered into one submission (one batch more may go over it)."""
    spill_bytes_max: int = 0
    """A submission that would have more inline record bytes than `submission_bytes_max` has all its
    record bytes in a blob instead, and up to so many (one request more may go over it); 0: it is
    not gathered that far. For order stores that should not carry much."""
    queued_operations_max: int = 16_384
    """Operations waiting to be gathered; beyond it requests are refused as unavailable."""
    queued_bytes_max: int = 64 * MIB
    """Record bytes waiting to be gathered."""
    submission_window_slots: int = 256
    """A submission may be applied this many slots after the journal's end when it was numbered."""
    blob_patience_s: float = 3.0
    """How long a submission waits for its blob to be stored before its operations fail."""
    blobs_reserved: int = 64
    """Numbers of blobs that a lane reserves at once, where stores can delete."""

    # Gossip
    gossip: bool = True
    """Whether nodes talk to each other. Without, each learns all from the order store."""
    gossip_interval_s: float = 0.1
    """How long entries may wait before they are sent to nodes that do not wait for them."""
    gossip_bytes_max: int = 256 * KIB
    """Entry bytes in one message."""
    gossip_blob_bytes_max: int = 0
    """Blobs that this node stores are sent to all others if they are no larger, so that these need
    not ask the blob store; 0: none is."""
    forward_patience_min_s: float = 0.1
    forward_patience_max_s: float = 1.0
    """Bounds of the time that a preferred publisher gets before a node publishes for itself."""
    ping_interval_s: float = 0.5
    """Between two pings of a node that did not publish in time, while something is published."""

    # Learning
    anti_entropy_s: float = 1.0
    """A node that learned nothing for this long asks the order store; doubles while idle …"""
    anti_entropy_idle_s: float = 2.0
    """… up to this."""
    gap_patience_s: float = 0.05
    """How long an entry that gossip skipped may still arrive before it is read from the store."""
    ahead_slots_max: int = 4096
    """Entries held that arrived before their turn."""
    read_slots_max: int = 64
    """Slots read from the order store in one call."""
    look_ahead_slots: int = 4
    """Slots read beyond what is known to be filled by a node that keeps losing slots to others."""
    retry_min_s: float = 0.05
    retry_max_s: float = 1.0
    """Pause before a store that gave no answer is asked again, doubling."""

    # Memory
    entry_cache_bytes: int = 64 * MIB
    page_cache_bytes: int = 16 * MIB
    blob_cache_bytes: int = 64 * MIB
    fresh_blob_bytes: int = 16 * MIB
    """Blobs that this node stored of late, or was sent."""
    index_entries_max: int = 200_000
    """Index entries in memory, committed or not, before durable ones are dropped."""
    fetch_batches_max: int = 1000
    """Record batches returned by one fetch."""
    concurrent_reads_max: int = 64
    """Reads of entries, pages and blobs in flight."""

    # Upkeep
    checkpoint_pages: int = 4
    """A checkpoint is written after each so many index pages."""
    retention_ms: int = -1
    """How old records may be in topics that do not say (`retention.ms`); -1 for any age."""
    retention_bytes: int = -1
    """Bytes that a partition keeps where its topic does not say (`retention.bytes`); -1: all."""
    retention_interval_s: float = 10.0
    """Between two looks at what is too old or too much."""
    retention_partitions_max: int = 1000
    """Partitions whose records are let go of with one submission."""
    collect_interval_s: float = 5.0
    """Between two looks at what nobody needs any more, where stores can delete; who has more to
    release than is looked at each time goes on without a pause."""
    collect_partitions_max: int = 1000
    """Partitions looked at each time."""
    collect_sections_max: int = 1000
    """Sections of pages released each time."""
    collect_pages_max: int = 200
    """Pages whose blobs are deleted each time."""
    collect_blobs_max: int = 1000
    """Blobs that nothing names, deleted each time."""
    rewrite_live_share: float = 0.5
    """A page of which no more than this share is alive is rewritten without the rest …"""
    rewrite_dead_bytes_min: int = 32 * KIB
    """… if that is so much, or more: record bytes and index entries."""
    rewrite_pages_max: int = 50
    """Pages rewritten each time."""
    rewrite_copied_bytes_max: int = 64 * MIB
    """Record bytes in memory while a page is rewritten; what is left is copied the next time."""
    collect_orphans_after_s: float = 3600.0
    """How long a blob may stay unnamed before nobody may name it any more, and how long after that
    it is deleted: longer than a put may be under way."""

    def __post_init__(self) -> None:
        """Check what would do harm without being noticed.

        Raises:
            InvalidRequest: A setting is out of range.
        """
        if not 1 <= self.submission_window_slots <= SUBMISSION_SLOTS_MAX:
            raise InvalidRequest(
                f"submission_window_slots is {self.submission_window_slots}; "
                f"the fold takes 1 to {SUBMISSION_SLOTS_MAX}"
            )
        if not 1 <= self.blobs_reserved <= RESERVED_BLOBS_MAX:
            raise InvalidRequest(
                f"blobs_reserved is {self.blobs_reserved}; the fold takes 1 to {RESERVED_BLOBS_MAX}"
            )
