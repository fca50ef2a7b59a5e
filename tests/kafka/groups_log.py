"""A log in memory as far as consumer groups need one, whose saves may be slow or fail."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tidings.core.entry import ANY_VERSION
from tidings.errors import Fenced, TidingsError
from tidings.types import Offset, TopicPartition


@dataclass
class Committed:
    offset: Offset
    leader_epoch: int
    metadata: str
    committed_ms: int = 0


@dataclass
class StoredGroup:
    committed: dict[TopicPartition, Committed] = field(default_factory=dict)
    version: int = 0
    document: bytes = b""


@dataclass
class State:
    groups: dict[str, StoredGroup] = field(default_factory=dict)


class GroupsLog:
    """What outlives a coordinator."""

    def __init__(self) -> None:
        self.state = State()
        # Seconds that a save takes to be durable, and what it raises instead.
        self.save_s = 0.0
        self.failure: TidingsError | None = None
        # While False, saves wait.
        self.may_save = asyncio.Event()
        self.may_save.set()
        self.save_count = 0

    async def barrier(self) -> None:
        await asyncio.sleep(0)

    async def save_group(self, group: str, version: int, document: bytes) -> None:
        await asyncio.sleep(self.save_s)
        await self.may_save.wait()
        if self.failure is not None:
            raise self.failure
        stored = self.state.groups.setdefault(group, StoredGroup())
        if version != stored.version + 1:
            raise Fenced(f"version {version} does not follow {stored.version}")
        stored.version, stored.document = version, document
        self.save_count += 1

    async def commit_offsets(
        self,
        group: str,
        offsets: Mapping[TopicPartition, Offset],
        *,
        may_move_back: bool = False,
        details: Mapping[TopicPartition, tuple[int, str]] | None = None,
        version: int = ANY_VERSION,
    ) -> None:
        assert may_move_back, "a Kafka client may commit any offset"
        self._check(group, version)
        stored = self.state.groups.setdefault(group, StoredGroup())
        for name, offset in offsets.items():
            stored.committed[name] = Committed(offset, *(details or {}).get(name, (-1, "")))
        await asyncio.sleep(0)

    async def delete_offsets(
        self, group: str, partitions: Sequence[TopicPartition], *, version: int = ANY_VERSION
    ) -> None:
        self._check(group, version)
        for name in partitions:
            self.state.groups[group].committed.pop(name, None)
        await asyncio.sleep(0)

    async def delete_group(self, group: str, *, version: int = ANY_VERSION) -> bool:
        self._check(group, version)
        await asyncio.sleep(0)
        return self.state.groups.pop(group, None) is not None

    def _check(self, group: str, version: int) -> None:
        stored = self.state.groups.get(group)
        if version not in (ANY_VERSION, stored.version if stored else 0):
            raise Fenced(f"{group} has another version than {version}")
