"""Sealed frames on a connection whose two sides know each other.

    bytes     what
    4         size of the body in bytes, big-endian
    1         kind: 0 a beat (empty: only says that the sender is there), 1 a message
    size      body
    32        HMAC-SHA-256(key of this direction, number of the frame in 8 bytes + all of the above)

The seal says that a frame comes from this node, on this connection, in this place, unaltered. TCP's
own checksum lets one damaged packet in some ten thousand through, and proves nothing.
"""

import hmac
import struct
from asyncio import StreamReader, StreamWriter
from enum import IntEnum

from tidings.peers.handshake import Keys, Refused
from tidings.ports import MESSAGE_BYTES_MAX

_HEAD = struct.Struct(">IB")
_NUMBER = struct.Struct(">Q")
_SEAL_BYTES = 32


class Kind(IntEnum):
    """What a frame is."""

    BEAT = 0
    MESSAGE = 1


class Channel:
    """A connection after its handshake."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, keys: Keys) -> None:
        self._reader = reader
        self._writer = writer
        self._keys = keys
        # How many frames were written and read.
        self._written = 0
        self._read = 0

    def write(self, kind: int, body: bytes) -> None:
        """Write a frame of a `Kind`; `drain` afterwards, or its bytes wait in memory."""
        head = _HEAD.pack(len(body), kind)
        seal = _seal(self._keys.outgoing, self._written, head, body)
        self._written += 1
        self._writer.writelines([head, body, seal])

    async def drain(self) -> None:
        """Wait until little is left in memory.

        Raises:
            OSError: The connection broke.
        """
        await self._writer.drain()

    @property
    def is_idle(self) -> bool:
        """Whether all that was written is out of this process."""
        return not self._writer.transport.get_write_buffer_size()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._writer.is_closing()

    def close(self) -> None:
        """Close the connection at once; whoever reads gets an EOFError."""
        self._writer.transport.abort()

    async def read(self) -> tuple[int, bytes]:
        """Return the next frame's kind and body.

        Raises:
            Refused: It is too long, or its seal is not right.
            EOFError: The other side closed the connection.
            OSError: The connection broke.
        """
        head = await self._reader.readexactly(_HEAD.size)
        size_bytes, kind = _HEAD.unpack(head)
        if size_bytes > MESSAGE_BYTES_MAX:
            raise Refused(f"a frame of {size_bytes} bytes; {MESSAGE_BYTES_MAX} are allowed")
        body = await self._reader.readexactly(size_bytes)
        seal = await self._reader.readexactly(_SEAL_BYTES)
        if not hmac.compare_digest(seal, _seal(self._keys.incoming, self._read, head, body)):
            raise Refused("a frame whose seal is not right: bytes were changed on their way")
        self._read += 1
        return kind, body


def _seal(key: bytes, number: int, head: bytes, body: bytes) -> bytes:
    seal = hmac.new(key, _NUMBER.pack(number) + head, "sha256")
    seal.update(body)
    return seal.digest()
