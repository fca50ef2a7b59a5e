"""`offset-list`: one value per record, and a list that says which records there are.

    lin-kv   co_<key>         committed offset
    seq-kv   ol_<key>         [0, 1, 2, …]: the offsets of the records that polls may return
             <key>_<offset>   {"msg": …, "by": tag}: one record, set once

A send first creates its record at the next free offset, and only then puts the offset on the
list. Whoever creates a record has that offset; whoever finds it taken tries the next one. A record
that exists is never changed, so any node may list it: a node lists everything it walked over on
its way to a free offset, also the records of a node that is slow or dead. So

- L1  every offset on a list has its record: the record is created BEFORE it is listed;
- L2  a list has no gaps: what is not listed yet comes after everything that is;
- L3  a list only grows. It is a function of its length, so that a swap whose answer is lost does
      no harm, whether it was done or not.

Costs, in calls (two messages each): send 3 (read the list, create the record, swap the list), 1
more for each offset that was taken and 3 for each lost swap; poll 1 a key and 1 for each record
that this node has not seen; commit 1 a key; list 1 a key.

What breaks it: adding to the list without a compare-and-swap, which loses the offsets of others;
listing an offset before its record is stored, which lets a poll stumble over a record that never
comes. Both are what the notes warn of. And the list grows with the log: n records cost n²
numbers on the network.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from itertools import count

from tidings.errors import TidingsError
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.committed_offsets import CALL_TIMEOUT_S, CommittedOffsets
from tidings.maelstrom.concurrently import Backoff, for_each
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.freshness import Freshness
from tidings.maelstrom.group_commit import GroupCommit
from tidings.maelstrom.layout import offset_list_name
from tidings.maelstrom.polling import POLL_RECORDS_MAX, poll_each
from tidings.maelstrom.records import Record, Records, gapless, message_records
from tidings.stores.maelstrom_kv import KeyValue
from tidings.types import Json

KNOWN_KEYS_MAX = 65_536
"""Keys of which a node remembers where the list ended."""


class OffsetList:
    """The design; see the module."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._rng = rng
        self._kv = KeyValue(network, "seq-kv", timeout_s=CALL_TIMEOUT_S)
        self._freshness = Freshness(network, self._kv, rng)
        self._committed = CommittedOffsets(network, rng)
        self._records = Records(network)
        self._sends = GroupCommit(self._append)
        self._incarnation = f"{network.node_id}-{rng.getrandbits(64):016x}"
        self._record_numbers = count()
        # How long each key's list is at least: below that, every offset is taken.
        self._lengths: LruCache[str, int] = LruCache(KNOWN_KEYS_MAX)

    async def run(self) -> None:
        """Publish what is sent and keep the view of seq-kv fresh."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sends.run())
            tasks.create_task(self._freshness.run())

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._sends.send(key, message)

    async def _append(self, key: str, messages: Sequence[Json]) -> Sequence[int]:
        listed = await self._read_list(key)
        free_offset = max(len(listed), self._lengths.get(key) or 0)
        offsets: dict[int, int] = {}
        unplaced = [(number, self._record(message)) for number, message in enumerate(messages)]
        while unplaced:
            created = await self._create_all(key, unplaced, free_offset)
            # Every one of these offsets is taken now, by us or by somebody else.
            for (number, _), offset in zip(unplaced, count(free_offset), strict=False):
                if offset in created:
                    offsets[number] = offset
            free_offset += len(unplaced)
            unplaced = [item for item in unplaced if item[0] not in offsets]
        await self._list_up_to(key, listed, free_offset, needed=max(offsets.values()) + 1)
        return [offsets[number] for number in range(len(messages))]

    def _record(self, message: Json) -> Record:
        return {"msg": message, "by": f"{self._incarnation}-{next(self._record_numbers)}"}

    async def _create_all(
        self, key: str, records: Sequence[tuple[int, Record]], first_offset: int
    ) -> dict[int, Record]:
        created: dict[int, Record] = {}

        async def create(item: tuple[int, Record]) -> None:
            offset, record = item
            if await self._create_until_known(key, offset, record):
                created[offset] = record

        offsets = range(first_offset, first_offset + len(records))
        await for_each(zip(offsets, [record for _, record in records], strict=True), create)
        return created

    async def _create_until_known(self, key: str, offset: int, record: Record) -> bool:
        backoff = Backoff(self._rng)
        while True:
            try:
                return await self._records.create(key, offset, record)
            except TidingsError:
                # It may have been stored. Trying another offset now could store it twice.
                await backoff.pause()

    async def _list_up_to(
        self, key: str, listed: list[int], end_offset: int, *, needed: int
    ) -> None:
        """Swap until the list holds all offsets below `needed`; all below `end_offset` exist."""
        backoff = Backoff(self._rng)
        while len(listed) < needed:
            try:
                target = list(range(max(end_offset, len(listed))))
                if await self._kv.compare_and_swap(
                    offset_list_name(key), listed, target, create=not listed
                ):
                    listed = target
                    break
                await backoff.pause()
                await self._freshness.renew()
                listed = await self._read_list(key)
            except TidingsError:
                await backoff.pause()
        self._lengths.put(key, len(listed))

    async def _read_list(self, key: str) -> list[int]:
        listed: list[int] = await self._kv.read(offset_list_name(key), default=[])
        return listed

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what a recent state of seq-kv lists from each offset on; see `Design.poll`.

        Raises:
            Unavailable: seq-kv answered for no key.
        """
        self._freshness.want()
        return await poll_each(offsets, self._poll_key)

    async def _poll_key(self, key: str, start_offset: int) -> list[tuple[int, Json]]:
        listed = await self._read_list(key)
        wanted = listed[start_offset : start_offset + POLL_RECORDS_MAX]
        found = await self._records.read(key, wanted)
        # A record that is listed exists (L1); this view of seq-kv may be too old to show it.
        return message_records(gapless(wanted, found))

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Remember how far consumers are; see `Design.commit_offsets`."""
        await self._committed.commit(offsets)

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Tell how far consumers are; see `Design.list_committed_offsets`."""
        return await self._committed.list(keys)

    def handle_message(self, source: str, body: Body) -> None:
        """Ignore it: nodes of this design do not talk to each other."""


def create(network: Network, rng: random.Random) -> OffsetList:
    """Return the design for one node."""
    return OffsetList(network, rng)
