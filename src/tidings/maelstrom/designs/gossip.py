"""`gossip`: `local-index`, and the nodes tell each other what they know.

    lin-kv   co_<key>         committed offset
             next_<key>       the offset that the next record gets
    seq-kv   <key>_<offset>   {"msg": …} or {"tombstone": true}: set once
    memory   an `OffsetIndex` per key, pruned as consumers commit; a fixed cache of records

A send takes an offset from the counter, creates its record there and gossips it. A poll walks up
from the asked offset and may step only over what it can account for. So

- G1  it returns a record or steps over a tombstone only when that is what is stored, for good;
- G2  it stops at the first offset for which it finds neither, even if it knows later ones;
- G3  a missing offset that is overdue (its writer is dead, or slow) is settled by creating a
      tombstone. Either that succeeds, and the writer's own create fails and it takes a new
      offset; or it fails, and the record is there to be read. A tombstone is never replaced.

Gossip is knowledge sooner, not truth: what was not heard of is asked for by name, and how far the
offsets go is asked of lin-kv. Without any gossip the same polls return the same records, later.

- New records go to every other node in batches, with the committed offsets.
- Now and then a node tells another one how far it knows each key, and is told where it is behind:
  what was lost in a partition is healed.

Costs, in calls (two messages each): send 2, and 2 more for each lost race for the counter; poll 0
when everything is heard of and cached, else 1 a record, and 1 a key every `PROBE_INTERVAL_S` at
the end of a log; commit 1 a key; list 1 a key. Gossip: n-1 messages a node and
`GOSSIP_INTERVAL_S`, if there is news.

What breaks it: a poll that steps over a missing offset (the record appears behind it: poll-skip);
giving up on an offset without settling it (its record may still appear); taking a time-out for a
failure (the message is stored twice).
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

from tidings.errors import TidingsError
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.committed_offsets import CALL_TIMEOUT_S, CommittedOffsets
from tidings.maelstrom.concurrently import Backoff, for_each
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.freshness import Freshness
from tidings.maelstrom.group_commit import GroupCommit
from tidings.maelstrom.news import News
from tidings.maelstrom.offset_counter import OffsetCounter
from tidings.maelstrom.offset_index import OffsetIndex
from tidings.maelstrom.polling import POLL_RECORDS_MAX, poll_each
from tidings.maelstrom.records import TOMBSTONE, Record, Records, gapless, message_records
from tidings.stores.maelstrom_kv import KeyValue
from tidings.types import Json

KEYS_MAX = 65_536
"""Keys that are remembered; one that was forgotten is learnt anew when it is polled."""

GOSSIP_INTERVAL_S = 0.2
"""News gathers this long before it is sent."""

DIGEST_INTERVAL_S = 2.0
"""Between two comparisons with a random other node."""

DIGEST_KEYS_MAX = 1_024
"""Keys, the last used ones, that one comparison is about."""

PROBE_INTERVAL_S = 2.0
"""How long a key may stay unheard of before a poll at its end asks lin-kv for more."""


class Gossip:
    """The design; see the module."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._network = network
        self._rng = rng
        self._peers = [node for node in network.node_ids if node != network.node_id]
        self._counter = OffsetCounter(network, rng)
        self._records = Records(network)
        self._freshness = Freshness(
            network, KeyValue(network, "seq-kv", timeout_s=CALL_TIMEOUT_S), rng
        )
        self._committed = CommittedOffsets(network, rng)
        self._sends = GroupCommit(self._append)
        self._indexes: LruCache[str, OffsetIndex] = LruCache(KEYS_MAX)
        self._news = News()

    async def run(self) -> None:
        """Publish what is sent, and exchange news with the other nodes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sends.run())
            tasks.create_task(self._freshness.run())
            if self._peers:
                tasks.create_task(self._spread_news())
                tasks.create_task(self._compare())

    def _index(self, key: str) -> OffsetIndex:
        index = self._indexes.get(key)
        if index is None:
            index = OffsetIndex()
            self._indexes.put(key, index)
        return index

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._sends.send(key, message)

    async def _append(self, key: str, messages: Sequence[Json]) -> Sequence[int]:
        offsets: dict[int, int] = {}
        while len(offsets) < len(messages):
            unplaced = [number for number in range(len(messages)) if number not in offsets]
            guess = self._index(key).end_offset
            taken = await self._counter.take(key, len(unplaced), guess=guess)

            async def store(item: tuple[int, int]) -> None:
                number, offset = item
                if await self._store(key, offset, {"msg": messages[number]}):
                    offsets[number] = offset

            await for_each(list(zip(unplaced, taken, strict=True)), store)
        return [offsets[number] for number in range(len(messages))]

    async def _store(self, key: str, offset: int, record: Record) -> bool:
        """Store a record at an offset that is ours; return False if it was settled before (G3)."""
        backoff = Backoff(self._rng)
        while True:
            try:
                stored = await self._records.create(key, offset, record)
            except TidingsError:
                # It may be stored. Taking another offset now could store it twice.
                await backoff.pause()
                continue
            self._index(key).learn_end(offset + 1)
            if stored:
                self._index(key).add(offset)
                self._news.add_record(key, offset, record)
            return stored

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what is known to be stored from each offset on; see `Design.poll`.

        Raises:
            Unavailable: No service answered, and nothing was in memory.
        """
        return await poll_each(offsets, self._poll_key)

    async def _poll_key(self, key: str, start_offset: int) -> list[tuple[int, Json]]:
        index = self._index(key)
        while True:
            if start_offset >= index.end_offset:
                await self._probe(key, index)
            wanted = range(start_offset, min(index.end_offset, start_offset + POLL_RECORDS_MAX))
            records = gapless(wanted, await self._read(key, index, wanted))
            messages = message_records(records)
            if messages or not wanted or len(records) < len(wanted):
                return messages
            # Tombstones alone: whoever polls cannot step over what it is not shown.
            start_offset = wanted.stop

    async def _read(self, key: str, index: OffsetIndex, wanted: range) -> dict[int, Record]:
        """Return what is stored at these offsets; settle those that are overdue."""
        found = await self._records.read(key, wanted)
        missing = [offset for offset in wanted if offset not in found]
        if missing:
            self._freshness.want()
            now = asyncio.get_running_loop().time()
            found |= await self._settle(key, index.overdue(missing, now))
        for offset in found:
            index.add(offset)
        return found

    async def _probe(self, key: str, index: OffsetIndex) -> None:
        now = asyncio.get_running_loop().time()
        if index.checked_at is None or now >= index.checked_at + PROBE_INTERVAL_S:
            index.checked_at = now
            index.learn_end(await self._counter.read(key))

    async def _settle(self, key: str, holes: Sequence[int]) -> dict[int, Record]:
        """Try to put a tombstone at each offset; return those that are there now (G3)."""
        settled: dict[int, Record] = {}

        async def settle_one(offset: int) -> None:
            try:
                if await self._records.create(key, offset, TOMBSTONE):
                    settled[offset] = TOMBSTONE
            except TidingsError:
                pass  # not known to be settled: this poll stops there, and the next one tries

        await for_each(holes, settle_one)
        # Where the record has come first, our view knows it now: the next poll returns it.
        return settled

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Remember how far consumers are; see `Design.commit_offsets`."""
        await self._committed.commit(offsets)
        for key, offset in offsets.items():
            self._prune(key, offset)
            self._news.add_committed(key, offset)

    def _prune(self, key: str, committed_offset: int) -> None:
        # The committed record itself is kept: a consumer that takes over starts there.
        index = self._index(key)
        index.prune(min(committed_offset, index.end_offset))

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Tell how far consumers are; see `Design.list_committed_offsets`."""
        return await self._committed.list(keys)

    async def _spread_news(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(GOSSIP_INTERVAL_S)
            body = {"type": "gossip", **self._news.take()}
            for peer in self._peers:
                self._network.send(peer, body)

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * DIGEST_INTERVAL_S)
            peer = self._rng.choice(self._peers)
            self._network.send(peer, {"type": "gossip_digest", "ends": self._known_ends()})

    def _known_ends(self) -> dict[str, int]:
        newest = self._indexes.newest(DIGEST_KEYS_MAX)
        return {key: index.end_offset for key, index in newest if index.end_offset > 0}

    def handle_message(self, source: str, body: Body) -> None:
        """Take news, or a digest, from another node."""
        match body.get("type"):
            case "gossip":
                self._learn_records(body.get("records", {}))
                self._learn_ends(body.get("ends", {}))
                for key, offset in body.get("committed", {}).items():
                    self._prune(key, offset)
            case "gossip_digest":
                theirs = body["ends"]
                ahead = {k: end for k, end in self._known_ends().items() if end > theirs.get(k, 0)}
                self._learn_ends(theirs)
                if ahead:
                    self._network.send(source, {"type": "gossip", "ends": ahead})
            case _:
                pass

    def _learn_records(self, records: Mapping[str, Sequence[tuple[int, Record]]]) -> None:
        now = asyncio.get_running_loop().time()
        for key, stored in records.items():
            index = self._index(key)
            index.checked_at = now
            for offset, record in stored:
                self._records.remember(key, offset, record)
                index.add(offset)

    def _learn_ends(self, ends: Mapping[str, int]) -> None:
        for key, end_offset in ends.items():
            self._index(key).learn_end(end_offset)


def create(network: Network, rng: random.Random) -> Gossip:
    """Return the design for one node."""
    return Gossip(network, rng)
