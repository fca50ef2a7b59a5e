"""What a node of the design `gossip` is going to tell the others. Bounded, and may be lost."""

import asyncio

from tidings.maelstrom.design import Body
from tidings.maelstrom.records import Record

NEWS_RECORDS_MAX = 4_096
"""Records that wait to be told; of more, only how far their key goes."""


class News:
    """Gathers what happened since it was last taken."""

    def __init__(self) -> None:
        self._records: dict[str, list[tuple[int, Record]]] = {}
        self._record_count = 0
        self._ends: dict[str, int] = {}
        self._committed: dict[str, int] = {}
        self._something = asyncio.Event()

    def add_record(self, key: str, offset: int, record: Record) -> None:
        """Tell that `record` is stored at `offset`."""
        if self._record_count < NEWS_RECORDS_MAX:
            self._records.setdefault(key, []).append((offset, record))
            self._record_count += 1
        else:
            self._ends[key] = max(self._ends.get(key, 0), offset + 1)
        self._something.set()

    def add_committed(self, key: str, offset: int) -> None:
        """Tell that consumers of `key` have committed `offset`."""
        self._committed[key] = max(self._committed.get(key, 0), offset)
        self._something.set()

    async def wait(self) -> None:
        """Return when there is news."""
        await self._something.wait()

    def take(self) -> Body:
        """Return the news, and forget it."""
        body = {"records": self._records, "ends": self._ends, "committed": self._committed}
        self._records, self._ends, self._committed = {}, {}, {}
        self._record_count = 0
        self._something.clear()
        return {name: part for name, part in body.items() if part}
