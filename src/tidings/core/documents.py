"""The frame around everything that is stored: what it is, which layout, and whether it is whole.

byte 0      kind      E entry, P index page, C checkpoint, G group
byte 1      version   of that kind's layout, from 1
bytes 2-5   checksum  CRC-32 of what follows, big-endian
bytes 6-    body      MessagePack; structures are arrays, so fields may only be added at the end
"""

import zlib
from enum import Enum
from typing import TypeVar

import msgspec

from tidings.errors import Corrupt

T = TypeVar("T")

HEADER_BYTES = 6
VERSION = 1


class Kind(Enum):
    """What a document is."""

    ENTRY = b"E"
    PAGE = b"P"
    CHECKPOINT = b"C"
    GROUP = b"G"

    def __init__(self, letter: bytes) -> None:
        # How its documents begin.
        self.start = letter + VERSION.to_bytes()


_encoder = msgspec.msgpack.Encoder()


def encode(kind: Kind, body: msgspec.Struct) -> bytes:
    """Return the stored form of `body`; equal bodies (mappings in equal order) give equal bytes."""
    packed = _encoder.encode(body)
    return b"".join((kind.start, zlib.crc32(packed).to_bytes(4, "big"), packed))


def decode(kind: Kind, data: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Return the body of a stored document.

    Raises:
        Corrupt: Wrong kind, unknown version, damaged bytes or a body of another shape.
    """
    if data[:2] != kind.start:
        raise _foreign(kind, data)
    body = memoryview(data)[HEADER_BYTES:]
    if zlib.crc32(body).to_bytes(4, "big") != data[2:HEADER_BYTES]:
        raise Corrupt(f"{kind.name.lower()} fails its checksum: the stored bytes have changed")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"{kind.name.lower()} has an unexpected shape: {error}") from error


def _foreign(kind: Kind, data: bytes) -> Corrupt:
    """Return what is wrong with how a document begins."""
    if data[:1] != kind.value:
        return Corrupt(f"expected a document of kind {kind.value!r}, found {data[:1]!r}")
    return Corrupt(
        f"{kind.name.lower()} has layout {data[1:2].hex() or 'none'}, this version of Tidings "
        f"reads {VERSION}: run the version that wrote it"
    )
