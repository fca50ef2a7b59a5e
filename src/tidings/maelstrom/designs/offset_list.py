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

Costs, in calls (two messages each): send 3 (read the list and create the record at the same time,
swap the list), 2 more for each offset that was taken and 2 to 4 for each lost swap; poll 1 a key
and 1 for each record that this node has not seen; commit 1 a key; list 1 a key.

What breaks it: adding to the list without a compare-and-swap, which loses the offsets of others;
listing an offset before its record is stored, which lets a poll stumble over a record that never
comes. Both are what the notes warn of. And the list grows with the log: n records cost n²
numbers on the network.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from tidings.errors import TidingsError
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.committed_offsets import CommittedOffsets
from tidings.maelstrom.concurrently import Backoff
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.group_commit import GroupCommit
from tidings.maelstrom.growing_list import GrowingLists
from tidings.maelstrom.layout import offset_list_name
from tidings.maelstrom.polling import POLL_RECORDS_MAX, poll_each
from tidings.maelstrom.records import Record, Records, gapless, message_records
from tidings.types import Json

KNOWN_KEYS_MAX = 65_536
"""Keys of which a node remembers where to look for a free offset."""


@dataclass(slots=True)
class Claim:
    """A record on its way to an offset."""

    record: Record
    offset: int | None = None


class OffsetList:
    """The design; see the module."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._rng = rng
        self._lists = GrowingLists(network, rng)
        self._records = Records(network)
        self._committed = CommittedOffsets(network, rng)
        self._sends = GroupCommit(self._append)
        self._incarnation = f"{network.node_id}-{rng.getrandbits(64):016x}"
        self._record_numbers = count()
        # For each key an offset below which every other one is taken.
        self._free_offsets: LruCache[str, int] = LruCache(KNOWN_KEYS_MAX)

    async def run(self) -> None:
        """Publish what is sent and keep the view of seq-kv fresh."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sends.run())
            tasks.create_task(self._lists.run())

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._sends.send(key, message)

    async def _append(self, key: str, messages: Sequence[Json]) -> Sequence[int]:
        claims = [Claim(self._record(message)) for message in messages]
        listed: list[int] = []
        while unplaced := [claim for claim in claims if claim.offset is None]:
            free_offset = self._free_offsets.get(key) or 0
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read_list(key))
                for offset, claim in enumerate(unplaced, free_offset):
                    tasks.create_task(self._claim(key, offset, claim))
            listed = reading.result()
            # All of these offsets are taken now, by us or by somebody else.
            self._free_offsets.put(key, max(free_offset + len(unplaced), len(listed)))
        offsets = [claim.offset for claim in claims if claim.offset is not None]
        await self._list_up_to(key, listed, needed=max(offsets) + 1)
        return offsets

    def _record(self, message: Json) -> Record:
        return {"msg": message, "by": f"{self._incarnation}-{next(self._record_numbers)}"}

    async def _read_list(self, key: str) -> list[int]:
        try:
            return await self._lists.read(offset_list_name(key))
        except TidingsError:
            return []  # as stale as a view can be; the swap will notice

    async def _claim(self, key: str, offset: int, claim: Claim) -> None:
        backoff = Backoff(self._rng)
        while True:
            try:
                created = await self._records.create(key, offset, claim.record)
            except TidingsError:
                # It may have been stored. Trying another offset now could store it twice.
                await backoff.pause()
                continue
            claim.offset = offset if created else None
            return

    async def _list_up_to(self, key: str, listed: list[int], *, needed: int) -> None:
        """Extend the list until it holds all offsets below `needed`."""
        name = offset_list_name(key)
        backoff = Backoff(self._rng)
        while len(listed) < needed:
            end_offset = max(self._free_offsets.get(key) or 0, needed)
            try:
                if await self._lists.extend(name, listed, list(range(end_offset))):
                    return
                listed = await self._lists.read_newest(name)
            except TidingsError:
                await backoff.pause()

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what a recent state of seq-kv lists from each offset on; see `Design.poll`.

        Raises:
            Unavailable: seq-kv answered for no key.
        """
        return await poll_each(offsets, self._poll_key)

    async def _poll_key(self, key: str, start_offset: int) -> list[tuple[int, Json]]:
        listed = await self._lists.poll(offset_list_name(key))
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
