"""Waiting for records: for requests that poll an idle partition for a while."""

import asyncio
from collections.abc import Sequence
from types import TracebackType

from tidings.core.entry import Append, DeleteTopic, Entry
from tidings.core.state import Applied
from tidings.types import Slot, TopicPartition


class Watch:
    """Notices records that arrive in some partitions while it is open; a context manager."""

    def __init__(self, watchers: "Watchers", partitions: Sequence[TopicPartition]) -> None:
        self._watchers = watchers
        self._partitions = partitions
        self._stirred = asyncio.Event()

    def __enter__(self) -> "Watch":
        self._watchers.add(self, self._partitions)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._watchers.remove(self, self._partitions)

    async def wait(self) -> None:
        """Return once something has arrived since it was opened, or since the last return.

        It may have been something else: look, and wait again.
        """
        await self._stirred.wait()
        self._stirred.clear()

    def stir(self) -> None:
        """Have `wait` return."""
        self._stirred.set()


class Watchers:
    """All open watches of a node."""

    def __init__(self) -> None:
        # Of each partition the watches in which it is, in the order in which they were opened.
        self._open: dict[TopicPartition, dict[Watch, None]] = {}

    def add(self, watch: Watch, partitions: Sequence[TopicPartition]) -> None:
        """Begin to stir a watch."""
        for name in partitions:
            self._open.setdefault(name, {})[watch] = None

    def remove(self, watch: Watch, partitions: Sequence[TopicPartition]) -> None:
        """Stir a watch no more."""
        for name in dict.fromkeys(partitions):
            watches = self._open[name]
            del watches[watch]
            if not watches:
                del self._open[name]

    def observe(self, _slot: Slot, _entry: Entry, applied: list[Applied]) -> None:
        """Stir whoever waits for a partition that an entry appends to."""
        if not self._open:
            return
        for submission, results in applied:
            for operation in submission.operations if results is not None else ():
                match operation:
                    case Append(partition):
                        self._stir(partition)
                    case DeleteTopic():
                        self.stir_all()
                    case _:
                        pass

    def _stir(self, name: TopicPartition) -> None:
        for watch in self._open.get(name, ()):
            watch.stir()

    def stir_all(self) -> None:
        """Stir everybody: what arrived meanwhile is not known one by one."""
        for watches in self._open.values():
            for watch in watches:
                watch.stir()
