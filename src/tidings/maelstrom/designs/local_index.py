"""`local-index`: each node knows only the offsets that it gave out itself. Not a correct log.

    lin-kv   co_<key>         committed offset
             next_<key>       the offset that the next record gets
    seq-kv   <key>_<offset>   {"msg": …}: one record, set once
    memory   the offsets of the records that were sent to this node

A send takes an offset from the counter and stores its record there; only this node ever does. A
poll returns the records whose offsets are in the node's own memory.

Costs, in calls (two messages each): send 2, and 2 more for each lost race for the counter; poll 0
for what was sent here and is in the cache, else 1 a record; commit 1 a key; list 1 a key.

What breaks it: a second node. The order is right, for the counter is shared, but a message sent
to n0 is unknown to n1: a poll on n1 steps over it (poll-skip), and nobody who only asks n1 ever
sees it (unseen, lost-write). A restart forgets everything that was sent here. `gossip` is the
cure. It is here to be watched failing.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence

from tidings.errors import TidingsError
from tidings.maelstrom.committed_offsets import CommittedOffsets
from tidings.maelstrom.concurrently import Backoff, for_each
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.group_commit import GroupCommit
from tidings.maelstrom.offset_counter import OffsetCounter
from tidings.maelstrom.polling import POLL_RECORDS_MAX, poll_each
from tidings.maelstrom.records import Record, Records, gapless, message_records
from tidings.types import Json


class LocalIndex:
    """The design; see the module."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._rng = rng
        self._counter = OffsetCounter(network, rng)
        self._records = Records(network)
        self._committed = CommittedOffsets(network, rng)
        self._sends = GroupCommit(self._append)
        # For each key the offsets whose records this node has stored, ascending. It grows with
        # what is sent here; bounding it is what `gossip` adds.
        self._offsets: dict[str, list[int]] = {}

    async def run(self) -> None:
        """Publish what is sent."""
        await self._sends.run()

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._sends.send(key, message)

    async def _append(self, key: str, messages: Sequence[Json]) -> Sequence[int]:
        known = self._offsets.setdefault(key, [])
        guess = known[-1] + 1 if known else 0
        taken = await self._counter.take(key, len(messages), guess=guess)

        async def store(item: tuple[int, Json]) -> None:
            offset, message = item
            await self._store(key, offset, {"msg": message})

        await for_each(list(zip(taken, messages, strict=True)), store)
        # All at once, so that a poll never sees the later ones of a batch without the earlier.
        for offset in taken:
            insort(known, offset)
        return taken

    async def _store(self, key: str, offset: int, record: Record) -> None:
        backoff = Backoff(self._rng)
        while True:
            try:
                created = await self._records.create(key, offset, record)
            except TidingsError:
                await backoff.pause()
                continue
            assert created, "an offset is taken once and its record stored only by who took it"
            return

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what was sent to this node from each offset on; see `Design.poll`.

        Raises:
            Unavailable: seq-kv answered for no key.
        """
        return await poll_each(offsets, self._poll_key)

    async def _poll_key(self, key: str, start_offset: int) -> list[tuple[int, Json]]:
        known = self._offsets.get(key, [])
        first = bisect_left(known, start_offset)
        wanted = known[first : first + POLL_RECORDS_MAX]
        return message_records(gapless(wanted, await self._records.read(key, wanted)))

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Remember how far consumers are; see `Design.commit_offsets`."""
        await self._committed.commit(offsets)

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Tell how far consumers are; see `Design.list_committed_offsets`."""
        return await self._committed.list(keys)

    def handle_message(self, source: str, body: Body) -> None:
        """Ignore it: nodes of this design do not talk to each other."""


def create(network: Network, rng: random.Random) -> LocalIndex:
    """Return the design for one node."""
    return LocalIndex(network, rng)
