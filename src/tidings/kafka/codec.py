"""Kafka's messages between bytes and values, through the schemas of kio.

Requests become objects (`tidings.kafka.decoding`). Responses are written from nested dictionaries
(`tidings.kafka.encoding`), or come as buffers that a handler has made itself. Each of kio's classes
is imported with the first message of its kind.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from tidings.errors import InvalidRequest
from tidings.kafka.decoding import Cursor, reader_of
from tidings.kafka.encoding import encode
from tidings.kafka.schema import Entity, request_class, response_class

PRODUCE_KEY = 0
API_VERSIONS_KEY = 18

_COPIED_BYTES_MAX = 16 * 1024
"""A request up to this size is copied before it is read."""

_T = TypeVar("_T")

_PREFIX = struct.Struct(">hhi")
_SHORT = struct.Struct(">h")
_RESPONSE_HEAD = struct.Struct(">ii")


Buffers = Sequence[bytes | memoryview]
"""What is sent, in order."""


class Encoded(NamedTuple):
    """The body of a response as buffers that are sent one after the other, without copying."""

    buffers: Buffers


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """What the bytes of every request begin with, whatever the API and version."""

    api_key: int
    api_version: int
    correlation_id: int


class Request(NamedTuple):
    """A request as a handler gets it."""

    client_id: str | None
    body: Any


def read_prefix(frame: bytes | memoryview) -> Prefix:
    """Return what a request says of itself.

    Raises:
        InvalidRequest: The frame is too short to be a request.
    """
    if len(frame) < _PREFIX.size:
        raise InvalidRequest(f"{len(frame)} bytes are too few to be a request")
    return Prefix(*_PREFIX.unpack_from(frame))


def decode(module: str, version: int, frame: bytes | memoryview) -> Request:
    """Read a whole request: header and body; `module` is kio's name of the API.

    What follows the body is ignored, as Kafka does.

    Raises:
        InvalidRequest: The bytes are no such request.
    """
    entity = request_class(module, version)
    # Pieces of bytes are cheaper than pieces of views.
    data = bytes(frame) if len(frame) <= _COPIED_BYTES_MAX else frame
    cursor = Cursor(data, _PREFIX.size)
    try:
        client_id = _read_client_id(cursor)
        if entity.__flexible__:
            cursor.skip_tagged()
        return Request(client_id, reader_of(entity)(cursor))
    except (InvalidRequest, ValueError, OverflowError, struct.error) as error:
        raise InvalidRequest(f"not a {module} request of version {version}: {error}") from error


def encode_response(module: str, version: int, body: Mapping[str, Any]) -> bytes:
    """Write the body of a response; see `tidings.kafka.encoding` for what values may be."""
    return encode(response_class(module, version), body)


def response_head(api_key: int, *, flexible: bool, correlation_id: int, body_bytes: int) -> bytes:
    """Return what goes before a body: size and header.

    The header of ApiVersions has no tagged fields in any version, so that a client can read it
    before it knows which version the broker speaks (KIP-511).
    """
    tags = b"\x00" if flexible and api_key != API_VERSIONS_KEY else b""
    return _RESPONSE_HEAD.pack(4 + len(tags) + body_bytes, correlation_id) + tags


def is_flexible(module: str, version: int) -> bool:
    """Whether this version of an API has compact and tagged fields."""
    flexible: bool = request_class(module, version).__flexible__
    return flexible


def field(entity: Entity, name: str, default: _T) -> _T:
    """Return a field that only some versions have; `default` where this one has not."""
    value: _T = getattr(entity, name, default)
    return value


def _read_client_id(cursor: Cursor) -> str | None:
    """Read the client id.

    It has the old form in every version of the header, so that brokers of any age can read it.
    """
    (size,) = _SHORT.unpack(cursor.take(_SHORT.size))
    return None if size == -1 else str(cursor.take(size), "utf-8")
