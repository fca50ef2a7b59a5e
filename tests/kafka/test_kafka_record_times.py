import contextlib
import struct
from collections.abc import Callable

import cramjam
import pytest
from batches_made import (
    FIRST_MS,
    MadeRecord,
    batch_of,
    compress,
    record_bytes,
    with_changed_byte,
    xerial,
)
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidRequest
from tidings.kafka import compression
from tidings.kafka.compression import decompress
from tidings.kafka.record_batch import Compression, read_header, with_log_append_time
from tidings.kafka.record_times import RecordTime, record_times

CODES = list(Compression)
RECORDS = [MadeRecord(FIRST_MS + number, b"x" * 40, b"key") for number in (0, 7, -3, 7)]


@given(
    st.lists(
        st.builds(
            MadeRecord,
            st.integers(0, 2**45),
            st.none() | st.binary(max_size=200),
            st.none() | st.binary(max_size=9),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(CODES),
)
def test_times_of_any_batch_are_those_of_its_records(
    records: list[MadeRecord], code: Compression
) -> None:
    found = list(record_times(batch_of(records, attributes=code)))
    assert found == [RecordTime(delta, made.timestamp_ms) for delta, made in enumerate(records)]


def test_times_of_framed_snappy_are_found() -> None:
    plain = b"".join(record_bytes(delta, FIRST_MS, made) for delta, made in enumerate(RECORDS))
    data = batch_of(RECORDS, attributes=Compression.SNAPPY, payload=xerial(plain))
    assert [time.timestamp_ms - FIRST_MS for time in record_times(data)] == [0, 7, -3, 7]


def test_times_of_log_append_time_are_all_that_time() -> None:
    data = batch_of(RECORDS)
    data = with_log_append_time(data, read_header(data), 123)
    assert list(record_times(data)) == [RecordTime(delta, 123) for delta in range(4)]


@pytest.mark.parametrize("code", CODES[1:])
def test_decompress_more_than_allowed_raises(code: Compression) -> None:
    bomb = compress(code, bytes(100_000))
    assert decompress(code, memoryview(bomb), 100_000) == bytes(100_000)
    with pytest.raises(InvalidRequest):
        decompress(code, memoryview(bomb), 99_999)


@pytest.mark.parametrize("code", [Compression.GZIP, Compression.LZ4, Compression.ZSTD])
@pytest.mark.parametrize("spoil", [lambda _: b"nonsense", lambda frame: frame[:-3]])
def test_decompress_of_nonsense_makes_no_more_room_for_it(
    code: Compression, spoil: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = compress(code, b"record" * 100)
    decompress(code, memoryview(frame))
    rooms: list[int] = []

    def note_room(size_bytes: int) -> bytearray:
        rooms.append(size_bytes)
        return bytearray(size_bytes)

    monkeypatch.setattr(compression, "bytearray", note_room, raising=False)
    with pytest.raises(InvalidRequest):
        decompress(code, memoryview(spoil(frame)))
    assert len(rooms) == 1


def test_decompress_snappy_blocks_that_are_too_much_together_raises() -> None:
    framed = memoryview(xerial(bytes(1000)))
    assert decompress(Compression.SNAPPY, framed, 1000) == bytes(1000)
    with pytest.raises(InvalidRequest):
        decompress(Compression.SNAPPY, framed, 999)


@pytest.mark.parametrize("size", [-1, 0, 1000])
def test_decompress_snappy_block_with_a_wrong_size_raises(size: int) -> None:
    framed = xerial(b"abc")[:16] + struct.pack(">i", size) + cramjam.snappy.compress_raw(b"abc")
    with pytest.raises(InvalidRequest):
        decompress(Compression.SNAPPY, memoryview(bytes(framed)))


@given(st.sampled_from(CODES[1:]), st.binary(max_size=100))
def test_decompress_any_bytes_gives_bytes_or_raises(code: Compression, data: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        decompress(code, memoryview(data), 10_000)


@given(st.sampled_from(CODES), st.data())
def test_times_of_a_spoiled_batch_are_times_or_an_error(
    code: Compression, data: st.DataObject
) -> None:
    batch = batch_of(RECORDS, attributes=code)
    position = data.draw(st.integers(61, len(batch) - 1))
    spoiled = with_changed_byte(batch, position, data.draw(st.integers(1, 255)))
    with contextlib.suppress(InvalidRequest):
        assert len(list(record_times(spoiled))) == len(RECORDS)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff" * 11, b"\x0c", b"\x01\x00", b"\x00" * 5], ids=repr
)
def test_times_of_records_that_are_cut_off_raise(payload: bytes) -> None:
    with pytest.raises(InvalidRequest):
        list(record_times(batch_of(payload=payload)))
