"""Single records in seq-kv: `<key>_<offset>`, set once and never changed.

A record is `{"msg": …}`, with `"by": tag` where several nodes may want the same offset. A
tombstone, `{"tombstone": true}`, says that no record will ever be there.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from tidings.errors import TidingsError
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.committed_offsets import CALL_TIMEOUT_S
from tidings.maelstrom.concurrently import for_each
from tidings.maelstrom.layout import record_name
from tidings.stores.maelstrom_kv import Caller, KeyValue
from tidings.types import Json

RECORDS_CACHED_MAX = 32_768
"""Records of all keys whose contents are kept in memory."""

CALLS_AT_ONCE_MAX = 1_024
"""Records that are being read or created."""

Record = dict[str, Json]

TOMBSTONE: Final[Record] = {"tombstone": True}


def message_records(records: Iterable[tuple[int, Record]]) -> list[tuple[int, Json]]:
    """Return the (offset, message) pairs of what is not a tombstone."""
    return [(offset, record["msg"]) for offset, record in records if "msg" in record]


class Records:
    """Reads and creates records, and remembers those it has seen."""

    def __init__(self, caller: Caller) -> None:
        self._kv = KeyValue(caller, "seq-kv", timeout_s=CALL_TIMEOUT_S)
        self._cache: LruCache[tuple[str, int], Record] = LruCache(RECORDS_CACHED_MAX)
        self._room = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
        # Places that somebody is reading just now.
        self._reading: dict[tuple[str, int], asyncio.Event] = {}

    def remember(self, key: str, offset: int, record: Record) -> None:
        """Keep what another node says is stored there."""
        self._cache.put((key, offset), record)

    async def create(self, key: str, offset: int, record: Record) -> bool:
        """Store `record` there if nothing is; return whether it is what is stored there now.

        Raises:
            Indeterminate: No answer in time; it may still be stored.
            Unavailable: seq-kv refused.
        """
        async with self._room:
            created = await self._kv.create(record_name(key, offset), record)
        if created:
            self._cache.put((key, offset), record)
        return created

    async def read(self, key: str, offsets: Iterable[int]) -> dict[int, Record]:
        """Return what is found at those offsets. One that is missing may still be stored.

        Raises:
            Indeterminate: Nothing was found, and an answer was missing.
            Unavailable: Nothing was found, and seq-kv refused.
        """
        found: dict[int, Record] = {}
        unread: list[int] = []
        failures: list[TidingsError] = []
        for offset in offsets:
            record = self._cache.get((key, offset))
            if record is None:
                unread.append(offset)
            else:
                found[offset] = record

        async def read_one(offset: int) -> None:
            try:
                record = await self._read_stored(key, offset)
            except TidingsError as failure:
                failures.append(failure)
                return
            if record is not None:
                found[offset] = record

        await for_each(unread, read_one)
        if failures and not found:
            raise failures[0]
        return found

    async def _read_stored(self, key: str, offset: int) -> Record | None:
        """Read a record, once for all who want it at the same time."""
        place = (key, offset)
        while (reading := self._reading.get(place)) is not None:
            await reading.wait()
            if (known := self._cache.get(place)) is not None:
                return known
        self._reading[place] = asyncio.Event()
        try:
            async with self._room:
                record: Record | None = await self._kv.read(record_name(key, offset))
            if record is not None:
                self._cache.put(place, record)
            return record
        finally:
            self._reading.pop(place).set()


def gapless(offsets: Iterable[int], found: dict[int, Record]) -> list[tuple[int, Record]]:
    """Return what was found at those offsets, in order, up to the first that is missing."""
    records = []
    for offset in offsets:
        if offset not in found:
            break
        records.append((offset, found[offset]))
    return records
