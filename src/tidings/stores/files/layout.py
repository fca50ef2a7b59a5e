"""What a blob's file holds: a header that can be checked by itself, then the bytes of the blob.

    4    magic `TDGB`
    1    version, 2
    2    N, the size of the name
    8    D, the size of the blob
    N    the name, in UTF-8
    4·B  a checksum of each block of the blob; a block has 16 KiB, the last one what is left
    4    a checksum of all that stands above
    D    the blob

Numbers are big-endian. The checksums stand in front so that a part of a blob can be read, and be
checked, without the rest. They are CRC-32C; in files of version 1, which are only read, CRC-32.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tidings.crc import crc32c
from tidings.errors import Corrupt

MAGIC = b"TDGB"
VERSION = 2

_CHECKSUMS: dict[int, Callable[[bytes | memoryview], int]] = {1: zlib.crc32, VERSION: crc32c}
"""By version. CRC-32C takes a seventh of the time, and one block of it does not let go of the
interpreter's lock, which a thread gets back only when the event loop next lets go of it."""

BLOCK_BYTES = 16 * 1024
"""What is read at least to check any byte of it."""

_FIXED = struct.Struct(">4sBHQ")
_CRC_BYTES = 4


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a blob's bytes."""

    version: int
    name: str
    data_bytes: int
    data_position: int
    """Where in the file the blob begins."""
    crcs: tuple[int, ...]

    @property
    def file_bytes(self) -> int:
        """The size that the whole file must have."""
        return self.data_position + self.data_bytes

    def blocks(self, position: int, size_bytes: int) -> tuple[int, int]:
        """Return the bounds, in the blob, of the blocks that hold a part of it."""
        end = min(position + size_bytes, self.data_bytes)
        if end <= position:
            return 0, 0
        start = position // BLOCK_BYTES * BLOCK_BYTES
        return start, min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, self.data_bytes)

    def check(self, start: int, data: bytes) -> None:
        """Check whole blocks, of which the first begins at `start`.

        Raises:
            Corrupt: One of them is damaged.
        """
        first = start // BLOCK_BYTES
        for number, crc in enumerate(block_checksums(data, self.version), first):
            if crc != self.crcs[number]:
                begin = number * BLOCK_BYTES
                end = min(begin + BLOCK_BYTES, self.data_bytes)
                raise Corrupt(
                    f"blob {self.name} is damaged: bytes {begin} to {end} fail their checksum"
                )


def block_checksums(data: bytes, version: int = VERSION) -> list[int]:
    """Return the checksum of each block."""
    view, checksum = memoryview(data), _CHECKSUMS[version]
    return [
        checksum(view[start : start + BLOCK_BYTES]) for start in range(0, len(data), BLOCK_BYTES)
    ]


def encode_header(name: str, data: bytes, version: int = VERSION) -> bytes:
    """Return what is to stand before the bytes of a blob."""
    name_bytes = name.encode()
    crcs = block_checksums(data, version)
    fixed = _FIXED.pack(MAGIC, version, len(name_bytes), len(data))
    head = fixed + name_bytes + struct.pack(f">{len(crcs)}I", *crcs)
    return head + struct.pack(">I", _CHECKSUMS[version](head))


def header_bytes(start: bytes) -> int:
    """Return how long the header is that begins so; 0 if it is not one, or is cut off."""
    if len(start) < _FIXED.size:
        return 0
    magic, version, name_bytes, data_bytes = _FIXED.unpack_from(start)
    if magic != MAGIC or version not in _CHECKSUMS:
        return 0
    size: int = _FIXED.size + name_bytes + _CRC_BYTES * (-(-data_bytes // BLOCK_BYTES) + 1)
    return size


def decode_header(head: bytes) -> Header | None:
    """Return the header that these bytes are; None if they are not a sound one."""
    if not head or header_bytes(head) != len(head):
        return None
    _, version, name_bytes, data_bytes = _FIXED.unpack_from(head)
    if _CHECKSUMS[version](head[:-_CRC_BYTES]) != int.from_bytes(head[-_CRC_BYTES:], "big"):
        return None
    name_end = _FIXED.size + name_bytes
    count = -(-data_bytes // BLOCK_BYTES)
    return Header(
        version=version,
        name=head[_FIXED.size : name_end].decode(),
        data_bytes=data_bytes,
        data_position=len(head),
        crcs=struct.unpack_from(f">{count}I", head, name_end),
    )
