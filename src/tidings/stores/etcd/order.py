"""The order store in etcd: a key for each slot.

<prefix>/<journal>/slot/<20 digits>   an entry; created once, deleted below the boundary
<prefix>/<journal>/cell/<name>        a cell
<prefix>/<journal>/boundary           20 digits: slots below were trimmed; always there

W1  One transaction fills a slot: if its key is absent and the boundary is not above it. Keys
that were deleted are absent as well; only the boundary tells them from those never filled.
W2  The boundary moves BEFORE the keys below it are deleted. Keys below it are no slots any
more; a crash leaves some, and the next trim deletes them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidings.errors import Corrupt, Indeterminate, InvalidRequest, Unavailable
from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.etcd.address import EtcdAddress
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.following import Follower, Heard, slot_of
from tidings.stores.etcd.messages import (
    DELETE_RANGE,
    RANGE,
    TXN,
    Carried,
    Found,
    delete_range_request,
    get,
    holds,
    is_absent,
    is_below,
    is_present,
    keys_only,
    put,
    range_request,
    transaction,
)
from tidings.types import Slot

ENTRY_BYTES_MAX = 1024 * 1024
"""etcd takes requests of 1.5 MiB unless told otherwise (--max-request-bytes)."""

INLINE_BYTES_MAX = 16 * 1024
"""etcd keeps everything until it is compacted, and is full at 2 GiB by default."""

READ_SLOTS_MAX = 64
"""Slots read with one request, so that an answer has some 64 MiB at most."""

TRIM_STEP_SLOTS = 256
"""Keys deleted with one request: a longer one makes all others wait."""

TIMEOUT_S = 5.0
"""How long a call may take: some elections. `members.SILENCE_SHARE` of it is for one member."""

SLOT_DIGITS = 20


@asynccontextmanager
async def open_etcd(
    url: str, journal: str = "journal", *, timeout_s: float = TIMEOUT_S
) -> AsyncIterator["EtcdOrderStore"]:
    """Open the order store of a journal; for `url` see `tidings.stores.etcd.address`.

    Raises:
        InvalidRequest: The URL is wrong.
        Unavailable: No member answers, or lets this user in.
    """
    address = EtcdAddress.parse(url)
    client = EtcdClient(address, timeout_s=timeout_s)
    try:
        store = EtcdOrderStore(client, f"{address.prefix}/{journal}")
        await store.prepare()
        yield store
    finally:
        await client.close()


class EtcdOrderStore:
    """Slots and cells of one journal. `open_etcd` makes it."""

    entry_bytes_max = ENTRY_BYTES_MAX
    inline_bytes_max = INLINE_BYTES_MAX
    can_trim = True
    is_exclusive = False

    def __init__(self, client: EtcdClient, prefix: str) -> None:
        """Use the keys that begin with `prefix` and a slash."""
        self._client = client
        self._slots = f"{prefix}/slot/"
        self._cells = f"{prefix}/cell/"
        self._boundary = f"{prefix}/boundary".encode()

    async def prepare(self) -> None:
        """Make the boundary if it is not there.

        Raises:
            Unavailable: No answer.
        """
        request = transaction([is_absent(self._boundary)], [put(self._boundary, _digits(0))])
        await self._ask(TXN, request)

    def _slot_key(self, slot: int) -> bytes:
        return self._slots.encode() + _digits(slot)

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        if len(entry) > ENTRY_BYTES_MAX:
            raise InvalidRequest(f"an entry has {len(entry)} bytes; at most {ENTRY_BYTES_MAX} fit")
        try:
            before = is_present(self._slot_key(slot - 1)) if slot else self._is_boundary(slot)
            outcome = await self._append(slot, entry, before)
            if outcome is None:
                # The one before was trimmed, and so the boundary may be here.
                outcome = await self._append(slot, entry, self._is_boundary(slot))
        except Indeterminate as error:
            return Unsettled(str(error))
        if outcome is None:
            raise Corrupt(
                f"slot {slot - 1} is missing, though it was filled: was etcd restored from a backup"
                " while nodes ran? Start them all again; what the backup lacks is lost"
            )
        return outcome

    def _is_boundary(self, slot: Slot) -> bytes:
        return holds(self._boundary, _digits(slot))

    async def _append(
        self, slot: Slot, entry: bytes, before: bytes
    ) -> Appended | Occupied | Trimmed | None:
        """Fill a slot if `before` holds as well; return None if only that does not."""
        key = self._slot_key(slot)
        request = transaction(
            [is_absent(key), is_below(self._boundary, _digits(slot + 1)), before],
            [put(key, entry)],
            [get(self._boundary), get(key)],
        )
        carried = Carried.decode(await self._client.call(TXN, request))
        if carried.succeeded:
            return Appended()
        boundary, held = carried.found
        if slot < self._below(boundary):
            return Trimmed()
        return None if held.value is None else Occupied(held.value)

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        entries: list[bytes] = []
        while len(entries) < count_max:
            count = min(count_max - len(entries), READ_SLOTS_MAX)
            found = await self._read(Slot(start + len(entries)), count)
            if isinstance(found, Trimmed):
                # Since the first of these requests; `start` is trimmed by now as well.
                return found
            entries += found
            if len(found) < count:
                break
        return entries

    async def _read(self, start: Slot, count: int) -> list[bytes] | Trimmed:
        place = (self._slot_key(start), self._slot_key(start + count))
        answer = await self._ask(TXN, transaction([], [get(self._boundary), get(*place)]))
        boundary, found = Carried.decode(answer).found
        if start < self._below(boundary):
            return Trimmed()
        for expected, pair in enumerate(found.pairs, start):
            if slot_of(pair) != expected:
                raise Corrupt(f"slot {expected} is missing, though slots after it are there")
        return [pair.value for pair in found.pairs]

    def _below(self, boundary: Found) -> Slot:
        digits = boundary.value
        if digits is None or len(digits) != SLOT_DIGITS or not digits.isdigit():
            raise Corrupt(f"etcd holds {digits!r:.60} where the trim boundary should be")
        return Slot(int(digits))

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        new = _digits(below)
        await self._ask(
            TXN, transaction([is_below(self._boundary, new)], [put(self._boundary, new)])
        )
        boundary = Found.decode(await self._ask(RANGE, range_request(self._boundary)))
        end = self._slot_key(self._below(boundary))
        oldest = keys_only(range_request(self._slot_key(0), end, count_max=TRIM_STEP_SLOTS))
        while pairs := Found.decode(await self._ask(RANGE, oldest)).pairs:
            last = slot_of(pairs[-1])
            step = delete_range_request(pairs[0].key, self._slot_key(last + 1))
            await self._ask(DELETE_RANGE, step)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return Found.decode(await self._ask(RANGE, range_request(self._cell_key(name)))).value

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        key = self._cell_key(name)
        condition = is_absent(key) if old is None else holds(key, old)
        answer = await self._client.call(TXN, transaction([condition], [put(key, new)]))
        return Carried.decode(answer).succeeded

    def _cell_key(self, name: str) -> bytes:
        return (self._cells + name).encode()

    async def _ask(self, method: str, request: bytes) -> bytes:
        """Make a call that may be repeated."""
        try:
            return await self._client.call(method, request, may_repeat=True)
        except Indeterminate as error:
            raise Unavailable(str(error)) from error

    # Following ----------------------------------------------------------------------------------

    async def follow(self, heard: Heard) -> None:
        """Call `heard` of slots as they are filled, until cancelled. It only saves time.

        What is told is filled. All slots are told with their entries while the watch lasts. When it
        was begun again, those filled meanwhile are told as well, or only the last of them, if etcd
        was compacted since.
        """
        await Follower(self._client, self._slots, heard).run()


def _digits(slot: int) -> bytes:
    return b"%020d" % slot


_order_store: type[OrderStore] = EtcdOrderStore
