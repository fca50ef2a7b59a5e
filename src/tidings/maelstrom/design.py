"""What a design of challenge 5b is, and what it may use.

A key of the kafka workload is a partition of ours and its `msg` a record's value; this face is the
only place that knows.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidings.types import Json

Body = dict[str, Json]
"""The `body` of a Maelstrom message."""

Polled = dict[str, list[tuple[int, Json]]]
"""What a poll returns: for each key its (offset, message) pairs, ascending, without a gap."""


class Network(Protocol):
    """What the node gives a design to talk with."""

    node_id: str
    node_ids: Sequence[str]
    """Every node of the cluster, this one included."""

    async def call(self, destination: str, body: Body, *, timeout_s: float) -> Body:
        """Send a request to a node or service and return the body of its reply.

        Raises:
            CallFailed: The reply was an error; carries Maelstrom's code and text.
            Indeterminate: No reply came within `timeout_s` seconds.
        """

    def send(self, destination: str, body: Body) -> None:
        """Send a message that expects no reply. It may be lost."""


class Design(Protocol):
    """One way to build the log on lin-kv and seq-kv.

    The four requests may run concurrently and may raise any `TidingsError`; the node turns it into
    the protocol's error, definite only where the error's kind is.
    """

    async def run(self) -> None:
        """Do the design's background work until cancelled. Started once, after `init`."""

    async def send(self, key: str, message: Json) -> int:
        """Append `message` to `key`; return its offset once it is durable in the services."""

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        """Return records of each key from the given offset on; keys without any may be left out."""

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        """Remember for each key the highest offset that was processed. Never moves back."""

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the committed offset of each key that has one."""

    def handle_message(self, source: str, body: Body) -> None:
        """Take a message from another node that is not a reply (gossip)."""
