"""A client of the kafka workload: it keeps its own offsets and judges what it is told.

A client has one request in flight. When it crashes, or no longer knows what became of a request,
it is thrown away: its successor has another name and nothing assigned.

Source: Maelstrom's client.clj and workload/kafka.clj.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from tidings.types import Json
from tidings.workbench.network import Message
from tidings.workbench.operations import Completion, Operation

DEFINITE_ERRORS: Final = frozenset({1, 10, 11, 12, 14, 20, 21, 22, 30})
"""The error codes that say that a request certainly did not happen and will not."""


class RequestFailed(Exception):
    """A request brought no result.

    Attributes:
        definite: Whether it certainly did not happen and will not.
    """

    def __init__(self, text: str, *, definite: bool) -> None:
        super().__init__(text)
        self.definite = definite


class _Header(msgspec.Struct, gc=False):
    type: str
    in_reply_to: int | None = None
    code: int = 13
    text: str = ""


class InitOk(msgspec.Struct, tag="init_ok"):
    """The node is ready."""


class SendOk(msgspec.Struct, tag="send_ok"):
    """The message is durable at `offset`."""

    offset: int


class PollOk(msgspec.Struct, tag="poll_ok"):
    """For each key its (offset, message) pairs."""

    msgs: dict[str, list[tuple[int, Json]]]


class CommitOk(msgspec.Struct, tag="commit_offsets_ok"):
    """The offsets are remembered."""


class CommittedOk(msgspec.Struct, tag="list_committed_offsets_ok"):
    """The committed offset of each key that has one."""

    offsets: dict[str, int]


_Reply = TypeVar("_Reply", InitOk, SendOk, PollOk, CommitOk, CommittedOk)

_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode


class Carrier(Protocol):
    """What clients ask of a network; see `tidings.workbench.network.Network`."""

    def attach_client(self, endpoint: Callable[[Message], None]) -> str:
        """Give a new client its name and let `endpoint` receive what is sent to it."""

    def detach_client(self, name: str) -> None:
        """Lose what is sent to the client `name`."""

    def send(self, message: Message) -> None:
        """Send `message` on its way."""


class Connection:
    """Sends requests to one node, one at a time."""

    def __init__(self, network: Carrier, node_id: str) -> None:
        self._network = network
        self._node_id = node_id
        self._name = network.attach_client(self._receive)
        self._last_id = 0
        self._awaited: asyncio.Future[msgspec.Raw] | None = None

    async def request(
        self, body: dict[str, Json], reply_type: type[_Reply], *, timeout_s: float
    ) -> _Reply:
        """Send `body` and return the reply.

        Raises:
            RequestFailed: No reply came in time, or an error, or one that is malformed.
        """
        self._last_id += 1
        raw = msgspec.Raw(_encode({**body, "msg_id": self._last_id}))
        loop = asyncio.get_running_loop()
        self._awaited = loop.create_future()
        self._network.send(Message(self._name, self._node_id, raw))
        patience = loop.call_later(timeout_s, _give_up, self._awaited)
        try:
            reply = await self._awaited
        finally:
            patience.cancel()
            self._awaited = None
        return _interpret(reply, reply_type)

    def close(self) -> None:
        """Hear no more replies."""
        self._network.detach_client(self._name)

    def _receive(self, message: Message) -> None:
        try:
            header = _decode_header(message.body)
        except msgspec.DecodeError:
            return  # no reply to anything
        awaited = self._awaited
        if awaited is not None and not awaited.done() and header.in_reply_to == self._last_id:
            awaited.set_result(message.body)


def _give_up(awaited: asyncio.Future[msgspec.Raw]) -> None:
    if not awaited.done():
        awaited.set_exception(RequestFailed("no reply in time", definite=False))


def _interpret(reply: msgspec.Raw, reply_type: type[_Reply]) -> _Reply:
    header = _decode_header(reply)
    if header.type == "error":
        raise RequestFailed(
            f"error {header.code}: {header.text}", definite=header.code in DEFINITE_ERRORS
        )
    try:
        return msgspec.json.decode(reply, type=reply_type)
    except msgspec.DecodeError as error:
        shown = bytes(reply)[:200].decode(errors="replace")
        raise RequestFailed(f"malformed reply ({error}): {shown}", definite=False) from None


class KafkaClient:
    """Performs the workload's operations on one node."""

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        # The next offset to read of each assigned key.
        self._offsets: dict[str, int] = {}

    def close(self) -> None:
        """Throw the client away."""
        self._connection.close()

    async def perform(self, operation: Operation) -> Completion:
        """Do `operation` and say how it ended. Every failed assign is a definite failure."""
        try:
            match operation.f:
                case "send":
                    value = await self._send(operation)
                case "poll":
                    value = await self._poll()
                case "assign":
                    value = await self._assign(operation)
                case "crash":
                    return Completion("info", operation.value)
                case unknown:
                    raise AssertionError(f"the workload makes no {unknown}")
        except RequestFailed as failed:
            is_definite = failed.definite or operation.f == "assign"
            return Completion("fail" if is_definite else "info", operation.value, str(failed))
        return Completion("ok", value)

    async def _request(self, body: dict[str, Json], reply_type: type[_Reply]) -> _Reply:
        return await self._connection.request(body, reply_type, timeout_s=self._timeout_s)

    async def _send(self, operation: Operation) -> Json:
        [[_, key, message]] = operation.value
        reply = await self._request({"type": "send", "key": key, "msg": message}, SendOk)
        return [["send", key, [reply.offset, message]]]

    async def _poll(self) -> Json:
        reply = await self._request({"type": "poll", "offsets": self._offsets}, PollOk)
        highest = {
            key: max(offset for offset, _ in pairs) for key, pairs in reply.msgs.items() if pairs
        }
        # The offsets advance BEFORE the commit: a poll whose commit fails has been read, and
        # its records are not read again.
        for key, offset in highest.items():
            self._offsets[key] = max(self._offsets.get(key, 0), offset + 1)
        if highest:
            await self._request({"type": "commit_offsets", "offsets": highest}, CommitOk)
        return [["poll", {key: [list(pair) for pair in reply.msgs[key]] for key in reply.msgs}]]

    async def _assign(self, operation: Operation) -> Json:
        keys: list[str] = operation.value
        if operation.seek_to_beginning:
            self._offsets = dict.fromkeys(keys, 0)
            return keys
        body: dict[str, Json] = {"type": "list_committed_offsets", "keys": keys}
        committed = (await self._request(body, CommittedOk)).offsets
        held = self._offsets
        self._offsets = {key: held.get(key, committed.get(key, 0)) for key in keys}
        return keys
