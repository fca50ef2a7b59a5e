"""What consumer groups need of the engine's `Log` and of its state."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidings.types import Offset, TopicPartition

Details = Mapping[TopicPartition, tuple[int, str]]
"""Leader epoch and metadata of committed offsets."""


class Committed(Protocol):
    """What a group committed of one partition."""

    @property
    def offset(self) -> Offset:
        """The next offset to read."""

    @property
    def leader_epoch(self) -> int:
        """What the client said of it; -1 for nothing."""

    @property
    def metadata(self) -> str:
        """The client's own text."""

    @property
    def committed_ms(self) -> int:
        """Wall clock of the commit."""


class StoredGroup(Protocol):
    """A group as the journal knows it."""

    @property
    def committed(self) -> Mapping[TopicPartition, Committed]:
        """Its committed offsets."""

    @property
    def version(self) -> int:
        """Of the document; 0 for none."""

    @property
    def document(self) -> bytes:
        """Its members; empty for none."""


class State(Protocol):
    """The folded state."""

    @property
    def groups(self) -> Mapping[str, StoredGroup]:
        """Every group."""


class GroupLog(Protocol):
    """The log."""

    @property
    def state(self) -> State:
        """The folded state, to be read only."""

    async def barrier(self) -> None:
        """Wait until everything that was settled is folded."""

    async def save_group(self, group: str, version: int, document: bytes) -> None:
        """Replace a group's document; `version` follows that of the one there is."""

    async def commit_offsets(
        self,
        group: str,
        offsets: Mapping[TopicPartition, Offset],
        *,
        may_move_back: bool = False,
        details: Details = ...,
        version: int = ...,
    ) -> None:
        """Set committed offsets, if the document has this version."""

    async def delete_offsets(
        self, group: str, partitions: Sequence[TopicPartition], *, version: int = ...
    ) -> None:
        """Forget committed offsets, if the document has this version."""

    async def delete_group(self, group: str, *, version: int = ...) -> bool:
        """Forget a group, if its document has this version; return whether there was one."""
