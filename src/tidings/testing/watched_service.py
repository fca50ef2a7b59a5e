"""A service of Maelstrom that counts what it answers and remembers the newest value of each key."""

from typing import Final

from tidings.testing.trace import Trace
from tidings.types import Json
from tidings.workbench.services import Body, Service

REFUSAL: Final[Body] = {"type": "error", "code": 11, "text": "no space is left"}
"""What a full service answers: Maelstrom's definite "temporarily unavailable"."""


class WatchedService:
    """Hands requests on; see `tidings.workbench.services.Service`."""

    def __init__(self, name: str, inner: Service, trace: Trace) -> None:
        self._name = name
        self._inner = inner
        self._trace = trace
        self.newest: dict[str, Json] = {}
        # Whether it takes nothing new.
        self.is_full = False

    def handle(self, client: str, body: Body) -> Body:
        """Answer a request."""
        refuses = self.is_full and body["type"] != "read"
        reply = REFUSAL if refuses else self._inner.handle(client, body)
        key: str = body["key"]
        kind = reply["type"]
        if kind == "read_ok":
            self._trace.count(f"{self._name} read_ok")
            if reply["value"] != self.newest[key]:
                self._trace.count("stale read")
        elif kind == "error":
            is_read = body["type"] == "read"
            if is_read and key in self.newest:
                self._trace.count("missing read")
            self._trace.count(f"{self._name} {body['type']} error {reply['code']}")
        else:
            self.newest[key] = body["value"] if kind == "write_ok" else body["to"]
            self._trace.count(f"{self._name} {kind}")
        return reply
