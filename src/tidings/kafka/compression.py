"""Decompression of the records of a batch, bounded.

The broker does not decompress what it stores and serves. It does so only to find the record of a
certain time.
"""

import struct
from collections.abc import Callable
from functools import cache

import cramjam

from tidings.errors import InvalidRequest
from tidings.kafka.record_batch import Compression

DECOMPRESSED_BYTES_MAX = 32 * 1024 * 1024
"""The most that is made of one batch: a small batch may claim to hold gigabytes."""

ROOM_BYTES_MIN = 4096
ROOM_GROWTH = 8
"""Room is made for so many times the compressed bytes at first, and for so many times more then."""

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
_BLOCK_SIZE = struct.Struct(">i")

_Into = Callable[[bytes | memoryview, bytearray], int]

_FRAMED: dict[int, _Into] = {
    Compression.GZIP: cramjam.gzip.decompress_into,
    Compression.LZ4: cramjam.lz4.decompress_into,
    Compression.ZSTD: cramjam.zstd.decompress_into,
}

_SAMPLES: dict[int, Callable[[], bytes]] = {
    Compression.GZIP: lambda: bytes(cramjam.gzip.compress(bytes(100))),
    Compression.LZ4: lambda: bytes(cramjam.lz4.compress(bytes(100))),
    Compression.ZSTD: lambda: bytes(cramjam.zstd.compress(bytes(100))),
}
"""Sound frames that need more room than one byte."""


def decompress(
    code: int, data: memoryview, size_bytes_max: int = DECOMPRESSED_BYTES_MAX
) -> memoryview:
    """Return the records that `data` holds; `code` is one of `Compression`.

    Raises:
        InvalidRequest: Not compressed in that way, or it would take more than `size_bytes_max`.
    """
    if code == Compression.NONE:
        return data
    try:
        if code == Compression.SNAPPY:
            return memoryview(_from_snappy(data, size_bytes_max))
        return _from_frame(code, data, size_bytes_max)
    except cramjam.DecompressionError as error:
        raise InvalidRequest(f"these are no {Compression(code).name} records: {error}") from error


def _from_frame(code: int, data: memoryview, size_bytes_max: int) -> memoryview:
    """Decompress into room that grows, for a frame need not say how much it holds.

    It does not grow for nonsense: to make all the room there may be takes tens of milliseconds.
    """
    into = _FRAMED[code]
    room_bytes = min(ROOM_BYTES_MIN + ROOM_GROWTH * len(data), size_bytes_max)
    while True:
        out = bytearray(room_bytes)
        try:
            return memoryview(out)[: into(data, out)]
        except cramjam.DecompressionError as error:
            if room_bytes == size_bytes_max or str(error) != _complaint_about_room(code):
                raise
        room_bytes = min(ROOM_GROWTH * room_bytes, size_bytes_max)


@cache
def _complaint_about_room(code: int) -> str:
    """Return what cramjam says where there is too little room: its errors have no kinds."""
    try:
        _FRAMED[code](_SAMPLES[code](), bytearray(1))
    except cramjam.DecompressionError as error:
        return str(error)
    raise AssertionError("a hundred bytes do not fit into one")


def _from_snappy(data: memoryview, size_bytes_max: int) -> bytes:
    """Return what is in one raw block, as of the protocol, or in blocks as snappy-java frames them.

    The frame: eight bytes of magic, two versions of four, then blocks with their size before them.
    """
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _from_block(data, size_bytes_max)
    blocks = []
    position = _XERIAL_HEADER_BYTES
    while position + _BLOCK_SIZE.size <= len(data):
        (size,) = _BLOCK_SIZE.unpack_from(data, position)
        position += _BLOCK_SIZE.size
        if not 0 < size <= len(data) - position:
            raise InvalidRequest(f"a snappy block of {size} bytes does not fit its frame")
        blocks.append(_from_block(data[position : position + size], size_bytes_max))
        size_bytes_max -= len(blocks[-1])
        position += size
    return b"".join(blocks)


def _from_block(block: memoryview, size_bytes_max: int) -> bytes:
    claimed = cramjam.snappy.decompress_raw_len(block)
    if claimed > size_bytes_max:
        raise InvalidRequest(f"a snappy block of {claimed} bytes is more than {size_bytes_max}")
    return bytes(cramjam.snappy.decompress_raw(block))
