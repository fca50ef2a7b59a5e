"""Signed varints, as records use them: zigzag, then seven bits in each byte, lowest first."""

from tidings.errors import InvalidRequest

_VARINT_BYTES_MAX = 10


def varint(number: int) -> bytes:
    """Return a number of at most 64 bits as a varint."""
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return a varint, and the place after it.

    Raises:
        InvalidRequest: It does not end.
    """
    value = 0
    for place, byte in enumerate(data[position : position + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position + place + 1
    raise InvalidRequest("a varint does not end")
