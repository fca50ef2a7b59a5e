"""etcd's messages, to bytes and back, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import Corrupt
from tidings.stores.etcd.messages import (
    Carried,
    Fields,
    Found,
    KeyValue,
    Watched,
    _bytes,
    _number,
    is_below,
    range_request,
    transaction,
)

NUMBERS = st.integers(0, 2**64 - 1)


@given(st.dictionaries(st.integers(1, 100), NUMBERS))
def test_etcd_numbers_come_back(numbers: dict[int, int]) -> None:
    fields = Fields(b"".join(_number(field, value) for field, value in numbers.items()))
    assert {field: fields.number(field) for field in numbers} == numbers
    assert fields.number(101) == 0


@given(st.lists(st.binary(max_size=300)))
def test_etcd_bytes_come_back_in_their_order(values: list[bytes]) -> None:
    fields = Fields(b"".join(_bytes(7, value) for value in values))
    assert fields.all(7) == values
    assert fields.one(7) == (values[-1] if values else b"")


@given(st.binary(max_size=100))
def test_etcd_answer_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    for kind in (Carried, Found, KeyValue, Watched):
        try:
            kind.decode(data)
        except Corrupt:
            continue


def test_etcd_requests_are_as_its_definition_says() -> None:
    assert range_request(b"a", b"b", count_max=300) == b"\x0a\x01a\x12\x01b\x18\xac\x02"
    condition = is_below(b"k", b"v")
    assert condition == b"\x08\x02\x10\x03\x1a\x01k\x3a\x01v"
    assert transaction([condition], [], []) == b"\x0a\x0a" + condition


@pytest.mark.parametrize("cut", [b"\x0a", b"\x0a\x05abc", b"\x80", b"\x08"])
def test_etcd_answer_that_was_cut_off_is_noticed(cut: bytes) -> None:
    with pytest.raises(Corrupt):
        Fields(cut)


def test_etcd_fields_of_other_kinds_are_skipped() -> None:
    fields = Fields(b"\x09" + bytes(8) + b"\x15" + bytes(4) + _number(3, 9))
    assert fields.number(3) == 9
