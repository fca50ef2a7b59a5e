"""`naive`: the whole log of a key is one value.

    lin-kv   co_<key>   committed offset
    seq-kv   <key>      [[message, offset, tag], …]: everything ever sent to the key

A send reads the list, adds its message and swaps the list back, until no other node was faster.
The tag is new for each batch of sends: when the answer to a swap is lost, the tag in the list
tells that it was done, and it is never done twice.

Costs, in calls to services (a call is two messages): send 3 (see the newest state, read, swap),
and 3 more for each lost race; all sends that wait for the same key on one node share them. Poll 1
a key, commit 1 a key, list 1 a key. And each of these calls carries the whole log: sending n
messages moves n² through the network.

What breaks it: nothing that loses or repeats a message. It is slow: under contention only one
node wins each round, and a long log is moved as a whole, over and over.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

from tidings.errors import TidingsError
from tidings.maelstrom.committed_offsets import CommittedOffsets
from tidings.maelstrom.concurrently import Backoff
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.group_commit import GroupCommit
from tidings.maelstrom.growing_list import GrowingLists
from tidings.maelstrom.layout import log_name
from tidings.maelstrom.polling import poll_each
from tidings.types import Json

Entry = tuple[Json, int, str]
"""Message, offset, tag."""


class Naive:
    """The design; see the module."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._rng = rng
        self._logs = GrowingLists(network, rng)
        self._committed = CommittedOffsets(network, rng)
        self._sends = GroupCommit(self._append)

    async def run(self) -> None:
        """Publish what is sent and keep the view of seq-kv fresh."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sends.run())
            tasks.create_task(self._logs.run())

    async def send(self, key: str, message: Json) -> int:
        """Append a message; see `Design.send`."""
        return await self._sends.send(key, message)

    async def _append(self, key: str, messages: Sequence[Json]) -> Sequence[int]:
        name = log_name(key)
        tag = f"{self._rng.getrandbits(64):016x}"
        backoff = Backoff(self._rng)
        while True:
            try:
                log: list[Entry] = await self._logs.read_newest(name)
                done = [offset for _, offset, owner in log if owner == tag]
                if done:
                    return done
                offsets = range(len(log), len(log) + len(messages))
                entries = [(m, o, tag) for m, o in zip(messages, offsets, strict=True)]
                if await self._logs.extend(name, log, [*log, *entries]):
                    return offsets
            except TidingsError:
                pass  # if the swap was done all the same, the list shows it
            await backoff.pause()

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return what a recent state of seq-kv holds from each offset on; see `Design.poll`.

        Raises:
            Unavailable: seq-kv answered for no key.
        """
        return await poll_each(offsets, self._poll_key)

    async def _poll_key(self, key: str, start_offset: int) -> list[tuple[int, Json]]:
        log: list[Entry] = await self._logs.poll(log_name(key))
        return [(offset, message) for message, offset, _ in log[start_offset:]]

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Remember how far consumers are; see `Design.commit_offsets`."""
        await self._committed.commit(offsets)

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Tell how far consumers are; see `Design.list_committed_offsets`."""
        return await self._committed.list(keys)

    def handle_message(self, source: str, body: Body) -> None:
        """Ignore it: nodes of this design do not talk to each other."""


def create(network: Network, rng: random.Random) -> Naive:
    """Return the design for one node."""
    return Naive(network, rng)
