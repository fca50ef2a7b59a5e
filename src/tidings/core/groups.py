"""Consumer groups: their committed offsets, and a document that only their coordinator reads.

A group exists while it has one or the other. F3 stands in `tidings.core.state`.
"""

import msgspec

from tidings.core.entry import ANY_VERSION, CommitOffsets, DeleteGroup, DeleteOffsets, SaveGroup
from tidings.core.results import Done, Reason, Refused
from tidings.types import Offset, TopicPartition

NO_LEADER_EPOCH = -1
NO_DETAIL = (NO_LEADER_EPOCH, "")


class Committed(msgspec.Struct, frozen=True, array_like=True):
    """What a group committed of one partition."""

    offset: Offset
    """The next offset that the group wants to read."""
    leader_epoch: int
    """What the client said of it; -1 for nothing."""
    metadata: str
    """The client's own text."""
    committed_ms: int
    """Wall clock of the publisher, milliseconds since 1970."""


class Group(msgspec.Struct, array_like=True):
    """One group."""

    committed: dict[TopicPartition, Committed]
    version: int = 0
    """Goes up by one each time that the document is replaced; 0 for no document."""
    document: bytes = b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it."""
        return not self.committed and self.version == 0


class Groups:
    """All groups."""

    def __init__(self, by_name: dict[str, Group] | None = None) -> None:
        self.by_name = by_name or {}

    def commit(self, operation: CommitOffsets, now_ms: int) -> Done | Refused:
        """Set committed offsets, of partitions that exist."""
        if self._is_outdated(operation):
            return Refused(Reason.FENCED)
        if not operation.offsets:
            return Done(changed=False)
        committed = self._get(operation.group).committed
        details = operation.details or [NO_DETAIL] * len(operation.offsets)
        changed = False
        for (partition, offset), (leader_epoch, metadata) in zip(
            operation.offsets, details, strict=True
        ):
            before = committed.get(partition)
            if before is not None and offset < before.offset and not operation.may_move_back:
                continue
            after = Committed(offset, leader_epoch, metadata, now_ms)
            committed[partition] = after
            changed |= before is None or _what(before) != _what(after)
        return Done(changed)

    def save(self, operation: SaveGroup) -> Done | Refused:
        """Replace a group's document if nobody did meanwhile."""
        if operation.version != self._version(operation.group) + 1:
            return Refused(Reason.FENCED)
        group = self._get(operation.group)
        group.version, group.document = operation.version, operation.document
        return Done()

    def delete_offsets(self, operation: DeleteOffsets) -> Done | Refused:
        """Forget committed offsets of one group."""
        if self._is_outdated(operation):
            return Refused(Reason.FENCED)
        group = self.by_name.get(operation.group)
        if group is None:
            return Done(changed=False)
        found = [group.committed.pop(name, None) for name in operation.partitions]
        self._drop_if_empty(operation.group, group)
        return Done(any(found))

    def delete(self, operation: DeleteGroup) -> Done | Refused:
        """Forget a group."""
        if self._is_outdated(operation):
            return Refused(Reason.FENCED)
        return Done(self.by_name.pop(operation.group, None) is not None)

    def forget_topic(self, topic: str) -> None:
        """Forget what any group committed of a topic."""
        for name, group in list(self.by_name.items()):
            for partition in [each for each in group.committed if each.topic == topic]:
                del group.committed[partition]
            self._drop_if_empty(name, group)

    def _is_outdated(self, operation: CommitOffsets | DeleteOffsets | DeleteGroup) -> bool:
        """Whether whoever decided on this knew another document than there is."""
        return operation.version not in (ANY_VERSION, self._version(operation.group))

    def _version(self, name: str) -> int:
        group = self.by_name.get(name)
        return group.version if group else 0

    def _get(self, name: str) -> Group:
        group = self.by_name.get(name)
        if group is None:
            group = self.by_name[name] = Group({})
        return group

    def _drop_if_empty(self, name: str, group: Group) -> None:
        if group.is_empty:
            del self.by_name[name]


def _what(committed: Committed) -> tuple[int, int, str]:
    return committed.offset, committed.leader_epoch, committed.metadata
