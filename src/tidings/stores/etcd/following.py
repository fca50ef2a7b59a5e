"""Hears of slots as they are filled, through a watch.

A watch shows one member's state, which may be old; a member that hangs shows nothing. So a watch
is begun again at another member as soon as calls go to another one. And once in a while the newest
slot is read, linearizably: if the watch has not told of the one that was read the time before,
another member is asked from then on. A watch goes on where it was, unless etcd was compacted since:
then it begins anew, with the newest slot.
"""

import asyncio
import logging
from collections.abc import Callable

from tidings.errors import Corrupt, Indeterminate, Unavailable
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.messages import (
    RANGE,
    Found,
    KeyValue,
    Watched,
    keys_only,
    range_request,
    watch_request,
)
from tidings.types import Slot

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""How often the newest slot is read."""

PAUSE_S = 0.5
"""Before a watch is begun again."""

Heard = Callable[[Slot, bytes | None], None]
"""Takes a slot that was filled, and its entry where that is at hand."""


def slot_of(pair: KeyValue) -> Slot:
    """Return which slot a key is of.

    Raises:
        Corrupt: It is of none.
    """
    digits = pair.key.rpartition(b"/")[2]
    if not digits.isdigit():
        raise Corrupt(f"etcd holds {pair.key!r}, which is no slot")
    return Slot(int(digits))


class Follower:
    """Follows one journal."""

    def __init__(
        self, client: EtcdClient, slots: str, heard: Heard, *, check_s: float = CHECK_S
    ) -> None:
        """Follow the keys that begin with `slots`, once `run` runs."""
        self._check_s = check_s
        self._client = client
        self._place = (slots.encode(), slots.encode() + b":")
        self._heard = heard
        # Up to where the watch has told everything; 0: it is begun anew.
        self._revision = 0
        # The last slot that was told.
        self._told = -1

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._watch(tasks))
                    tasks.create_task(self._check())
            except* Unavailable as errors:
                log.warning("etcd does not tell of new slots: %s", errors.exceptions[0])
            await asyncio.sleep(PAUSE_S)

    async def _watch(self, tasks: asyncio.TaskGroup) -> None:
        if not self._revision:
            newest = await self._read_newest()
            self._revision = newest.revision
            for pair in newest.pairs:
                self._tell(pair, None)
        request = watch_request(*self._place, self._revision + 1)
        async with self._client.watch(request) as (place, messages):
            tasks.create_task(self._leave(place))
            async for data in messages:
                message = Watched.decode(data)
                for pair in message.put:
                    self._tell(pair, pair.value)
                    self._revision = pair.mod_revision
                if message.is_over:
                    self._revision = 0
                    raise Unavailable(f"the watch was cancelled: {message.reason}")
        raise Unavailable("the watch ended")

    async def _leave(self, place: int) -> None:
        """End when calls leave the member that is watched."""
        await self._client.left(place)
        raise Unavailable("another member of etcd is asked from now on")

    def _tell(self, pair: KeyValue, entry: bytes | None) -> None:
        slot = slot_of(pair)
        self._told = max(self._told, slot)
        self._heard(slot, entry)

    async def _check(self) -> None:
        """Look now and then whether the watch is alive."""
        seen = -1
        while True:
            await asyncio.sleep(self._check_s)
            if seen > self._told:
                self._client.move_on()
                raise Unavailable(f"slot {seen} was filled, and the watch did not tell")
            newest = await self._read_newest()
            seen = slot_of(newest.pairs[-1]) if newest.pairs else -1

    async def _read_newest(self) -> Found:
        request = keys_only(range_request(*self._place, count_max=1, is_last_first=True))
        try:
            return Found.decode(await self._client.call(RANGE, request, may_repeat=True))
        except Indeterminate as error:
            raise Unavailable(str(error)) from error
