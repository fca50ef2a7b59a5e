"""Maelstrom's protocol without I/O: lines of JSON to messages and back, error codes, bounds.

It does not read, write or wait. A line is `{"src": …, "dest": …, "body": {…}}`; a body is a

    request   has `msg_id`, and no `in_reply_to`: it is owed exactly one reply or error
    reply     has `in_reply_to`
    note      has neither: nobody waits for an answer

See `tidings.maelstrom.node` for who acts on them.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Generic, TypeVar

import msgspec

from tidings.errors import (
    Corrupt,
    Fenced,
    Indeterminate,
    InvalidRequest,
    OffsetOutOfRange,
    OutOfOrderSequence,
    TidingsError,
    Unavailable,
    UnknownTopicOrPartition,
)
from tidings.types import Json

LINE_BYTES_MAX = 16 * 1024 * 1024
"""A longer line is skipped: nothing that the workload or a service sends comes near."""

CALLS_OUTSTANDING_MAX = 65_536
"""Requests of this node that have no reply yet."""

OFFSET_MAX = 2**63 - 1

Body = dict[str, Json]


class ErrorCode(IntEnum):
    """The protocol's error codes."""

    TIMEOUT = 0
    NODE_NOT_FOUND = 1
    NOT_SUPPORTED = 10
    TEMPORARILY_UNAVAILABLE = 11
    MALFORMED_REQUEST = 12
    CRASH = 13
    ABORT = 14
    KEY_DOES_NOT_EXIST = 20
    KEY_ALREADY_EXISTS = 21
    PRECONDITION_FAILED = 22
    TXN_CONFLICT = 30

    @property
    def definite(self) -> bool:
        """Whether the request certainly did not happen and will not."""
        return self not in (ErrorCode.TIMEOUT, ErrorCode.CRASH)


CODE_OF_ERROR: dict[type[TidingsError], ErrorCode] = {
    InvalidRequest: ErrorCode.MALFORMED_REQUEST,
    UnknownTopicOrPartition: ErrorCode.KEY_DOES_NOT_EXIST,
    OffsetOutOfRange: ErrorCode.PRECONDITION_FAILED,
    Fenced: ErrorCode.ABORT,
    OutOfOrderSequence: ErrorCode.PRECONDITION_FAILED,
    Unavailable: ErrorCode.TEMPORARILY_UNAVAILABLE,
    Indeterminate: ErrorCode.TIMEOUT,
    Corrupt: ErrorCode.CRASH,
}
"""What each kind of failure is called here. A kind that is missing is a `CRASH`: indefinite."""


class Malformed(Exception):
    """A line that is not a message, or a request that cannot be what it claims.

    Attributes:
        request: The header of the request that is owed an error, if it is one.
    """

    def __init__(self, text: str, request: "Header | None" = None) -> None:
        super().__init__(text)
        self.request = request


@dataclass(frozen=True, slots=True)
class Header:
    """Whom to answer, and to what."""

    source: str
    destination: str
    msg_id: int


class Message(msgspec.Struct, frozen=True):
    """One line, decoded."""

    src: str
    dest: str
    body: Body

    @property
    def type(self) -> str:
        """The body's type, or "" when it has none that is a string."""
        name = self.body.get("type")
        return name if isinstance(name, str) else ""

    @property
    def in_reply_to(self) -> int | None:
        """The `msg_id` that this message answers."""
        return _integer(self.body.get("in_reply_to"))

    @property
    def request(self) -> Header | None:
        """The header, if somebody waits for a reply to this message."""
        msg_id = _integer(self.body.get("msg_id"))
        if msg_id is None or self.body.get("in_reply_to") is not None:
            return None
        return Header(self.src, self.dest, msg_id)


class _Outline(msgspec.Struct):
    """As much of a message as is needed to refuse it."""

    class Body(msgspec.Struct):
        msg_id: int
        in_reply_to: Json = None

    src: str
    dest: str
    body: Body


class Init(msgspec.Struct, frozen=True):
    """The first request: who this node is and who the others are."""

    node_id: str
    node_ids: list[str]


_Offset = Annotated[int, msgspec.Meta(ge=0, le=OFFSET_MAX)]


class Send(msgspec.Struct, frozen=True):
    """Append `msg` to `key`."""

    key: str
    msg: Json


class Poll(msgspec.Struct, frozen=True):
    """Read each key from an offset on."""

    offsets: dict[str, _Offset]


class CommitOffsets(msgspec.Struct, frozen=True):
    """Remember the highest offset processed of each key."""

    offsets: dict[str, _Offset]


class ListCommittedOffsets(msgspec.Struct, frozen=True):
    """Tell the committed offset of each key."""

    keys: list[str]


KafkaRequest = Send | Poll | CommitOffsets | ListCommittedOffsets

KAFKA_REQUESTS: dict[str, type[KafkaRequest]] = {
    "send": Send,
    "poll": Poll,
    "commit_offsets": CommitOffsets,
    "list_committed_offsets": ListCommittedOffsets,
}
"""The requests of the kafka workload by their `type`."""

Shape = TypeVar("Shape", bound=msgspec.Struct)

_decoder = msgspec.json.Decoder(Message)
_outline_decoder = msgspec.json.Decoder(_Outline)
_encoder = msgspec.json.Encoder()


def decode(line: bytes) -> Message:
    """Return the message on a line.

    Raises:
        Malformed: It is none; names the request to refuse when so much can be made out.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a message: {error}", _outline(line)) from error


def _outline(line: bytes) -> Header | None:
    try:
        message = _outline_decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if message.body.in_reply_to is not None:
        return None
    return Header(message.src, message.dest, message.body.msg_id)


def parse(body: Body, shape: type[Shape]) -> Shape:
    """Return a request's body as `shape`; fields that it does not name are ignored.

    Raises:
        InvalidRequest: A field is missing or has a wrong type or value; the text says which.
    """
    try:
        return msgspec.convert(body, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest(f"malformed {body.get('type')} request: {error}") from error


def encode(source: str, destination: str, body: Body) -> bytes:
    """Return the line, with its end, that carries `body`."""
    return _encoder.encode({"src": source, "dest": destination, "body": body}) + b"\n"


def error_body(code: int, text: str) -> Body:
    """Return the body of an error."""
    return {"type": "error", "code": int(code), "text": text}


def error_of(failure: TidingsError) -> Body:
    """Return the body that tells a client of `failure`, definite only where the failure is."""
    code = CODE_OF_ERROR.get(type(failure), ErrorCode.CRASH)
    return error_body(code, str(failure))


class LineSplitter:
    """Cuts a stream of bytes into lines.

    A line longer than `LINE_BYTES_MAX` is dropped; `overlong_count` tells how many were.
    """

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._line_bytes_max = line_bytes_max
        # The pieces of the line that has not ended yet, and their size.
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.overlong_count = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read; return the lines that it completes, without their ends."""
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            self._append(end)
            line = self.finish()
            if line:
                lines.append(line)
        self._append(rest)
        return lines

    def finish(self) -> bytes:
        """Return the line that has begun, as if it had ended here; empty when there is none."""
        overlong = self._size_bytes > self._line_bytes_max
        self.overlong_count += overlong
        line = b"" if overlong else b"".join(self._pieces).strip()
        self._pieces.clear()
        self._size_bytes = 0
        return line

    def _append(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > self._line_bytes_max:
            self._pieces.clear()
        elif piece:
            self._pieces.append(piece)


Waiter = TypeVar("Waiter")


class OutstandingCalls(Generic[Waiter]):
    """Matches replies to this node's own requests by `msg_id`."""

    def __init__(self) -> None:
        self._waiters: dict[int, tuple[str, Waiter]] = {}
        self._last_msg_id = 0

    def open(self, destination: str, waiter: Waiter) -> int:
        """Remember who waits for a reply from `destination`; return the request's `msg_id`.

        Raises:
            Unavailable: `CALLS_OUTSTANDING_MAX` calls are waiting.
        """
        if len(self._waiters) >= CALLS_OUTSTANDING_MAX:
            raise Unavailable(f"{CALLS_OUTSTANDING_MAX} calls await replies; try again later")
        self._last_msg_id += 1
        self._waiters[self._last_msg_id] = (destination, waiter)
        return self._last_msg_id

    def match(self, source: str, in_reply_to: int) -> Waiter | None:
        """Return who waits for this reply, once; None when nobody does (any more)."""
        destination, waiter = self._waiters.get(in_reply_to, ("", None))
        if waiter is None or destination != source:
            return None
        del self._waiters[in_reply_to]
        return waiter

    def close(self, msg_id: int) -> None:
        """Forget a call, answered or not."""
        self._waiters.pop(msg_id, None)


def _integer(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
