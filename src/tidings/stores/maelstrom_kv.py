"""Maelstrom's key-value services as a client sees them."""

from typing import Protocol

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.types import Json

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
