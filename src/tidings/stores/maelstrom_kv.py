"""Maelstrom's key-value services as a client sees them."""

from typing import Protocol

from tidings.errors import Indeterminate, TidingsError
from tidings.types import Json


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

    async def _call(self, body: dict[str, Json]) -> dict[str, Json]:
        return await self._caller.call(self._service, body, timeout_s=self._timeout_s)

    async def read(self, key: str, *, default: Json = None) -> Json:
        """Return the value of `key`, or `default` when the service says it does not exist.

        On seq-kv a missing key proves nothing: the view may be stale.

        Raises:
            Indeterminate: No answer in time.
        """
        try:
            return (await self._call({"type": "read", "key": key}))["value"]
        except CallFailed as failed:
            if failed.code == CallFailed.KEY_DOES_NOT_EXIST:
                return default
            raise

    async def write(self, key: str, value: Json) -> None:
        """Set `key`, whatever it held.

        Raises:
            Indeterminate: No answer in time; the write may still happen.
        """
        await self._call({"type": "write", "key": key, "value": value})

    async def compare_and_swap(
        self, key: str, old: Json, new: Json, *, create: bool = False
    ) -> bool:
        """Set `key` to `new` if it holds `old` (or, with `create`, if it does not exist).

        Returns whether it was set. On seq-kv False may come from a stale view.

        Raises:
            Indeterminate: No answer in time; the swap may still happen.
        """
        body = {"type": "cas", "key": key, "from": old, "to": new, "create_if_not_exists": create}
        try:
            await self._call(body)
        except CallFailed as failed:
            if failed.code in (CallFailed.KEY_DOES_NOT_EXIST, CallFailed.PRECONDITION_FAILED):
                return False
            if not failed.definite:
                raise Indeterminate(failed.text) from failed
            raise
        return True
