"""The frame: what was stored comes back, and nothing else is taken for it."""

import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.documents import HEADER_BYTES, VERSION, Kind, decode, encode
from tidings.errors import Corrupt


class Body(msgspec.Struct, frozen=True, array_like=True):
    name: str
    numbers: list[int]


class LaterBody(msgspec.Struct, frozen=True, array_like=True):
    name: str
    numbers: list[int]
    added: int = 7


decoder = msgspec.msgpack.Decoder(Body)
bodies = st.builds(
    Body, st.text(max_size=5), st.lists(st.integers(-(2**63), 2**64 - 1), max_size=3)
)
kinds = st.sampled_from(Kind)


def frame(packed: bytes) -> bytes:
    """A page whose checksum is right, whatever it holds."""
    return b"P" + VERSION.to_bytes() + zlib.crc32(packed).to_bytes(4, "big") + packed


def test_layout_of_a_document_is_as_documented() -> None:
    # Written out by hand: stored data outlives this version of the code.
    assert encode(Kind.PAGE, Body("a", [1, 2])) == bytes.fromhex("50 01 26330c58 92 a161 92 01 02")


@given(kinds, bodies)
def test_decode_of_what_was_encoded_returns_it(kind: Kind, body: Body) -> None:
    assert decode(kind, encode(kind, body), decoder) == body


@given(kinds, bodies)
def test_decode_after_any_single_bit_flip_raises_corrupt(kind: Kind, body: Body) -> None:
    data = encode(kind, body)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            decode(kind, bytes(damaged), decoder)


@given(kinds, bodies)
def test_decode_of_any_prefix_raises_corrupt(kind: Kind, body: Body) -> None:
    data = encode(kind, body)
    for length in range(len(data)):
        with pytest.raises(Corrupt):
            decode(kind, data[:length], decoder)


@given(bodies, st.binary(min_size=1, max_size=5))
def test_decode_with_bytes_after_the_document_raises_corrupt(body: Body, extra: bytes) -> None:
    with pytest.raises(Corrupt, match="checksum"):
        decode(Kind.PAGE, encode(Kind.PAGE, body) + extra, decoder)


def test_decode_with_bytes_after_the_body_raises_corrupt() -> None:
    packed = encode(Kind.PAGE, Body("a", []))[HEADER_BYTES:]
    with pytest.raises(Corrupt, match="shape"):
        decode(Kind.PAGE, frame(packed + b"\x00"), decoder)


@given(kinds, kinds, bodies)
def test_decode_of_another_kind_raises_corrupt(kind: Kind, asked: Kind, body: Body) -> None:
    if kind is not asked:
        with pytest.raises(Corrupt, match="expected a document of kind"):
            decode(asked, encode(kind, body), decoder)


def test_decode_of_an_unknown_version_says_which_one_to_run() -> None:
    data = bytearray(encode(Kind.PAGE, Body("a", [])))
    data[1] = VERSION + 1
    with pytest.raises(Corrupt, match=r"page has layout 02.* reads 1: run the version"):
        decode(Kind.PAGE, bytes(data), decoder)


@given(st.binary(max_size=40))
def test_decode_of_hostile_bytes_raises_only_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt):
        decode(Kind.PAGE, data, decoder)


@given(st.binary(max_size=40))
def test_decode_of_a_hostile_body_returns_a_body_or_raises_corrupt(packed: bytes) -> None:
    try:
        body = decode(Kind.PAGE, frame(packed), decoder)
    except Corrupt:
        return
    assert isinstance(body, Body)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc0",
        b"\x91\xa1a",
        b"\x92\x01\x90",
        b"\x92\xa1a\x91\xc3",
        b"\x92\xa1\xff\x90",
        b"\x92\xdb\xff\xff\xff\xff",
        b"\x92\xa1a\xdd\xff\xff\xff\xff",
        b"\x93\xa1a\x90" + b"\x91" * 100_000,
    ],
    ids=[
        "nothing",
        "nil",
        "too few fields",
        "integer for text",
        "boolean for integer",
        "not UTF-8",
        "text without end",
        "array without end",
        "nested without end",
    ],
)
def test_decode_of_a_body_of_another_shape_raises_corrupt(packed: bytes) -> None:
    with pytest.raises(Corrupt, match="page has an unexpected shape"):
        decode(Kind.PAGE, frame(packed), decoder)


def test_decode_of_a_body_with_fields_added_later_drops_them() -> None:
    data = encode(Kind.PAGE, LaterBody("a", [1], added=3))
    assert decode(Kind.PAGE, data, decoder) == Body("a", [1])


def test_decode_of_a_body_from_before_a_field_was_added_takes_its_default() -> None:
    data = encode(Kind.PAGE, Body("a", [1]))
    later = msgspec.msgpack.Decoder(LaterBody)
    assert decode(Kind.PAGE, data, later) == LaterBody("a", [1], added=7)
