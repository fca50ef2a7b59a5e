"""Maelstrom's key-value services: a client of them, and the ports on top of it.

lin-kv   <journal>/<slot>         an entry, as base64 text; created once, never changed
         <journal>/cell/<name>    a cell, as base64 text
seq-kv   <journal>/<blob name>    a blob, as base64 text; written once
         <journal>/fresh/<node>   what nobody wrote before, written to see the newest state
"""

import asyncio
import random
from base64 import b64decode, b64encode
from typing import Protocol

from tidings.errors import Corrupt, Indeterminate, TidingsError, Unavailable
from tidings.ports import (
    Appended,
    AppendOutcome,
    BlobStore,
    Occupied,
    OrderStore,
    Trimmed,
    Unsettled,
)
from tidings.types import Json, Slot

DEFINITE_CODES = (1, 10, 11, 12, 14, 20, 21, 22, 30)
"""The errors of the protocol that say: it did not happen and will not."""


class CallFailed(TidingsError):
    """A node or service answered with an error.

    Attributes:
        code: Maelstrom's error code.
        text: What the other side said.
    """

    KEY_DOES_NOT_EXIST = 20
    PRECONDITION_FAILED = 22

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"error {code}: {text}")
        self.code = code
        self.text = text


class Caller(Protocol):
    """Sends a request and awaits its reply; see `tidings.maelstrom.design.Network.call`."""

    async def call(
        self, destination: str, body: dict[str, Json], *, timeout_s: float
    ) -> dict[str, Json]:
        """Return the reply's body; raise `CallFailed` or `Indeterminate`."""


class KeyValue:
    """A client of lin-kv or seq-kv. Each call is one request and has a deadline."""

    def __init__(self, caller: Caller, service: str, *, timeout_s: float) -> None:
        self._caller = caller
        self._service = service
        self._timeout_s = timeout_s

    async def _call(
        self, body: dict[str, Json], *, expected: tuple[int, ...] = ()
    ) -> dict[str, Json] | None:
        """Return the reply, or None when it is an error whose code is `expected`."""
        try:
            return await self._caller.call(self._service, body, timeout_s=self._timeout_s)
        except CallFailed as failed:
            if failed.code in expected:
                return None
            kind = Unavailable if failed.code in DEFINITE_CODES else Indeterminate
            raise kind(f"{self._service} refused {body['type']}: {failed}") from failed

    async def read(self, key: str, *, default: Json = None) -> Json:
        """Return the value of `key`, or `default` when the service says it does not exist.

        On seq-kv a missing key proves nothing: the view may be stale.

        Raises:
            Indeterminate: No answer in time.
            Unavailable: The service refused.
        """
        body = {"type": "read", "key": key}
        reply = await self._call(body, expected=(CallFailed.KEY_DOES_NOT_EXIST,))
        return default if reply is None else reply["value"]

    async def write(self, key: str, value: Json) -> None:
        """Set `key`, whatever it held.

        Raises:
            Indeterminate: No answer in time; the write may still happen.
            Unavailable: The service refused.
        """
        await self._call({"type": "write", "key": key, "value": value})

    async def compare_and_swap(
        self, key: str, old: Json, new: Json, *, create: bool = False
    ) -> bool:
        """Set `key` to `new` if it holds `old` (or, with `create`, if it does not exist).

        Returns whether it was set. On seq-kv False may come from a stale view.

        Raises:
            Indeterminate: No answer in time; the swap may still happen.
            Unavailable: The service refused, for another reason than what the key holds.
        """
        body = {"type": "cas", "key": key, "from": old, "to": new, "create_if_not_exists": create}
        mismatch = (CallFailed.KEY_DOES_NOT_EXIST, CallFailed.PRECONDITION_FAILED)
        return await self._call(body, expected=mismatch) is not None

    async def create(self, key: str, value: Json) -> bool:
        """Set `key` if it does not exist; return whether it holds `value` now.

        Repeating it is harmless. For a key that is only ever set by `create`, the answer is final
        on seq-kv as well: a view too old to know the key is left for the newest state, and a view
        that knows it knows its only value.

        Raises:
            Indeterminate: No answer in time; the key may still be set.
            Unavailable: The service refused, for another reason than what the key holds.
        """
        return await self.compare_and_swap(key, value, value, create=True)


TIMEOUT_S = 2.0
"""How long a service gets to answer. They are never away, only slow."""

ENTRY_BYTES_MAX = 1024 * 1024

INLINE_BYTES_MAX = 4 * 1024
"""Both services take values of any size; this keeps entries, which every node reads, small."""


class MaelstromOrderStore:
    """Slots and cells in lin-kv. Nothing is ever trimmed: lin-kv has no delete."""

    entry_bytes_max = ENTRY_BYTES_MAX
    inline_bytes_max = INLINE_BYTES_MAX
    can_trim = False
    is_exclusive = False

    def __init__(self, caller: Caller, journal: str) -> None:
        self._kv = KeyValue(caller, "lin-kv", timeout_s=TIMEOUT_S)
        self._journal = journal

    def _slot_key(self, slot: int) -> str:
        return f"{self._journal}/{slot}"

    def _cell_key(self, name: str) -> str:
        return f"{self._journal}/cell/{name}"

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`. An append that is repeated finds its own entry and says `Appended`."""
        try:
            created = await self._kv.create(self._slot_key(slot), _to_text(entry))
        except (Indeterminate, Unavailable) as error:
            return Unsettled(str(error))
        return Appended() if created else Occupied()

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`. The slots are read side by side."""
        found: list[str | None] = [None] * count_max
        failures: list[TidingsError] = []

        async def read(place: int) -> None:
            try:
                found[place] = await self._kv.read(self._slot_key(start + place))
            except TidingsError as error:
                failures.append(error)

        if count_max == 1:
            await read(0)
        else:
            async with asyncio.TaskGroup() as tasks:
                for place in range(count_max):
                    tasks.create_task(read(place))
        if failures:
            raise Unavailable(str(failures[0])) from failures[0]
        filled = found[: found.index(None)] if None in found else found
        return [_to_bytes(text) for text in filled]

    async def trim(self, below: Slot) -> None:
        """Do nothing: see the class."""

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        try:
            text = await self._kv.read(self._cell_key(name))
        except Indeterminate as error:
            raise Unavailable(str(error)) from error
        return None if text is None else _to_bytes(text)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        # No cell holds null, so that null swaps only what does not exist.
        expected = None if old is None else _to_text(old)
        return await self._kv.compare_and_swap(
            self._cell_key(name), expected, _to_text(new), create=old is None
        )


class MaelstromBlobStore:
    """Blobs in seq-kv, whose reads may be stale. None is ever deleted: seq-kv has no delete."""

    can_delete = False

    def __init__(self, caller: Caller, journal: str, node_id: str, rng: random.Random) -> None:
        self._kv = KeyValue(caller, "seq-kv", timeout_s=TIMEOUT_S)
        self._journal = journal
        self._fresh_key = f"{journal}/fresh/{node_id}"
        # Tells this life of the node from those before, whose values would change nothing.
        self._life = f"{rng.getrandbits(64):016x}"
        self._fresh_count = 0

    def _blob_key(self, name: str) -> str:
        return f"{self._journal}/{name}"

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        try:
            await self._kv.write(self._blob_key(name), _to_text(data))
        except Indeterminate as error:
            raise Unavailable(str(error)) from error

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`. A miss is looked at again from the newest state."""
        try:
            text = await self._kv.read(self._blob_key(name))
            if text is None:
                # seq-kv answers from the newest state once this client has changed something.
                self._fresh_count += 1
                await self._kv.write(self._fresh_key, f"{self._life}-{self._fresh_count}")
                text = await self._kv.read(self._blob_key(name))
        except Indeterminate as error:
            raise Unavailable(str(error)) from error
        return None if text is None else _to_bytes(text)

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`. seq-kv reads values whole."""
        data = await self.get(name)
        return None if data is None else data[position : position + size_bytes]

    async def delete(self, name: str) -> None:
        """Do nothing: see the class."""


def _to_text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _to_bytes(text: Json) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise Corrupt(f"a service holds {text!r:.60} where base64 text was stored") from error


_order_store: type[OrderStore] = MaelstromOrderStore
_blob_store: type[BlobStore] = MaelstromBlobStore
