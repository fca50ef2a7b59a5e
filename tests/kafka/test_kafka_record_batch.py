import pytest
from batches_made import FIRST_MS, MadeRecord, batch_of, with_changed_byte
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kio.schema.errors import ErrorCode

from tidings.core.entry import ProducerStamp
from tidings.kafka.record_batch import (
    HEADER_BYTES,
    RECORD_BYTES_MIN,
    BatchHeader,
    Compression,
    Refusal,
    check,
    read_header,
    read_plain,
    stamped,
    with_log_append_time,
)
from tidings.types import Offset

ALL = 1_000_000
GZIP, LZ4, ZSTD = Compression.GZIP, Compression.LZ4, Compression.ZSTD


def checked(
    data: bytes | None, produce_version: int = 9, size_bytes_max: int = ALL
) -> BatchHeader | Refusal:
    return check(data, produce_version=produce_version, size_bytes_max=size_bytes_max)


def code_of(data: bytes | None, **limits: int) -> ErrorCode:
    outcome = checked(data, **limits)
    return outcome.error_code if isinstance(outcome, Refusal) else ErrorCode.none


def test_check_of_a_good_batch_gives_its_header() -> None:
    data = batch_of([MadeRecord(FIRST_MS + 5), MadeRecord(FIRST_MS)], producer=(7, 1, 40))
    header = checked(data)
    assert isinstance(header, BatchHeader)
    assert header.record_count == 2
    assert header.last_offset_delta == 1
    assert header.base_timestamp_ms == FIRST_MS + 5
    assert header.max_timestamp_ms == FIRST_MS + 5
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 1, 40)
    assert header.is_idempotent
    assert header.length_bytes == len(data) - 12


def test_check_of_a_batch_without_producer_id_asks_for_no_sequence() -> None:
    header = checked(batch_of(producer=(-1, -1, -1)))
    assert isinstance(header, BatchHeader)
    assert not header.is_idempotent


@pytest.mark.parametrize("code", list(Compression))
def test_check_of_each_compression_accepts_it(code: Compression) -> None:
    header = checked(batch_of([MadeRecord()] * 10, attributes=code))
    assert isinstance(header, BatchHeader)
    assert header.compression_code == code


GOOD = batch_of()
REFUSED = {
    "nothing": (None, ErrorCode.invalid_record),
    "no bytes": (b"", ErrorCode.invalid_record),
    "half a header": (GOOD[:16], ErrorCode.invalid_record),
    "cut off": (GOOD[:-1], ErrorCode.invalid_record),
    "magic 0": (batch_of(magic=0), ErrorCode.invalid_record),
    "magic 1": (batch_of(magic=1), ErrorCode.invalid_record),
    "magic 3": (batch_of(magic=3), ErrorCode.corrupt_message),
    "length negative": (with_changed_byte(GOOD, 8, 0x80), ErrorCode.corrupt_message),
    "length too small": (b"\0" * 8 + b"\0\0\0\x0d\0\0\0\0\x02" + GOOD, ErrorCode.corrupt_message),
    "length in the header": (
        b"\0" * 8 + b"\0\0\0\x20\0\0\0\0\x02" + GOOD,
        ErrorCode.corrupt_message,
    ),
    "two batches": (GOOD + GOOD, ErrorCode.invalid_record),
    "one byte more": (GOOD + b"\0", ErrorCode.invalid_record),
    "base offset": (batch_of(base_offset=1), ErrorCode.invalid_record),
    "compression 5": (batch_of(attributes=5), ErrorCode.unsupported_compression_type),
    "control": (batch_of(attributes=0x20), ErrorCode.invalid_record),
    "transactional": (
        batch_of(attributes=0x10, producer=(1, 0, 0)),
        ErrorCode.transactional_id_authorization_failed,
    ),
    "log-append time": (batch_of(attributes=0x08), ErrorCode.invalid_timestamp),
    "no records": (batch_of([]), ErrorCode.invalid_record),
    "count zero": (batch_of(record_count=0, last_offset_delta=-1), ErrorCode.invalid_record),
    "count negative": (batch_of(record_count=-5, last_offset_delta=-6), ErrorCode.invalid_record),
    "count too high": (batch_of(record_count=2), ErrorCode.invalid_record),
    "count without room": (
        batch_of(record_count=3, last_offset_delta=2),
        ErrorCode.invalid_record,
    ),
    "last offset too high": (batch_of(last_offset_delta=1), ErrorCode.invalid_record),
    "no sequence": (batch_of(producer=(1, 0, -1)), ErrorCode.invalid_record),
    "no epoch": (batch_of(producer=(1, -1, 0)), ErrorCode.invalid_record),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_check_of_a_bad_batch_refuses_it(data: bytes | None, code: ErrorCode) -> None:
    assert code_of(data) == code


def test_check_of_zstd_from_an_old_client_refuses_it() -> None:
    data = batch_of(attributes=ZSTD)
    assert code_of(data, produce_version=6) == ErrorCode.unsupported_compression_type
    assert code_of(data, produce_version=7) == ErrorCode.none


def test_check_of_size_counts_the_whole_batch() -> None:
    assert code_of(GOOD, size_bytes_max=len(GOOD)) == ErrorCode.none
    assert code_of(GOOD, size_bytes_max=len(GOOD) - 1) == ErrorCode.message_too_large


def test_check_of_compressed_records_leaves_the_count_alone() -> None:
    data = batch_of([MadeRecord()] * 1000, attributes=GZIP)
    assert len(data) < 1000 * RECORD_BYTES_MIN
    assert code_of(data) == ErrorCode.none


@given(st.integers(21, len(GOOD) - 1), st.integers(1, 255))
def test_check_of_any_altered_byte_under_the_crc_refuses_it(position: int, change: int) -> None:
    assert code_of(with_changed_byte(GOOD, position, change)) != ErrorCode.none


@given(st.binary(max_size=200))
def test_check_of_any_bytes_refuses_them(data: bytes) -> None:
    assert isinstance(checked(data), Refusal)


@given(st.integers(0, len(GOOD)), st.binary(max_size=80))
def test_check_of_a_batch_that_was_cut_and_continued_refuses_it(cut: int, more: bytes) -> None:
    data = GOOD[:cut] + more
    assert data == GOOD or isinstance(checked(data), Refusal)


def plainly(data: bytes) -> tuple[int, int, ProducerStamp | None] | None:
    """Return what `read_plain` should say of a batch that `check` has no objection to."""
    header = checked(data)
    if isinstance(header, Refusal):
        return None
    stamp = ProducerStamp(header.producer_id, header.producer_epoch, header.base_sequence)
    return (
        header.record_count,
        header.max_timestamp_ms,
        stamp if header.is_idempotent else None,
    )


PLAIN = {
    "plain": GOOD,
    "two": batch_of([MadeRecord(FIRST_MS + 5), MadeRecord(FIRST_MS)]),
    "idempotent": batch_of(producer=(7, 1, 40)),
    "idempotent from the start": batch_of(producer=(0, 0, 0)),
    "no producer, no sequence": batch_of(producer=(-1, -1, -1)),
    "many, compressed": batch_of([MadeRecord()] * 1000, attributes=GZIP),
    "zstd": batch_of(attributes=ZSTD),
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN.keys())
def test_plain_batch_is_read_without_a_check(data: bytes) -> None:
    assert read_plain(data) == plainly(data) is not None


@pytest.mark.parametrize("data", [data for data, _ in REFUSED.values() if data], ids=repr)
def test_bad_batch_is_not_plain(data: bytes) -> None:
    assert read_plain(data) is None


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(0, 20))
def test_batch_that_is_plain_passes_the_check(position: int, change: int, cut: int) -> None:
    data = with_changed_byte(batch_of(producer=(7, 1, 40)), position, change)
    for changed in (data, data[: len(data) - cut], recomputed(data)):
        read = read_plain(changed)
        assert read is None or read == plainly(changed)


def recomputed(data: bytes) -> bytes:
    """Return a batch with the CRC that belongs to it."""
    return data[:17] + crc32c(data[21:]).to_bytes(4, "big") + data[21:]


batches = st.builds(
    batch_of,
    st.lists(
        st.builds(MadeRecord, st.integers(0, 2**40), st.none() | st.binary(max_size=30)),
        min_size=1,
        max_size=20,
    ),
    attributes=st.sampled_from(Compression),
    producer=st.just((-1, -1, -1)) | st.tuples(*[st.integers(0, 2**15 - 1)] * 3),
)


@given(batches, st.integers(0, 2**63 - 1))
def test_stamped_batch_differs_only_in_offset_and_epoch(data: bytes, offset: int) -> None:
    before, header = read_header(data), read_header(b"".join(stamped(data, Offset(offset))))
    assert header == before._replace(base_offset=offset, leader_epoch=0)
    assert b"".join(stamped(data, Offset(offset)))[16:] == data[16:]


def test_stamped_batch_is_not_copied() -> None:
    _, rest = stamped(GOOD, Offset(5))
    assert rest.obj is GOOD


@given(batches, st.integers(0, 2**62))
def test_log_append_time_changes_time_and_keeps_the_rest(data: bytes, now_ms: int) -> None:
    before = read_header(data)
    changed = with_log_append_time(data, before, now_ms)
    header = read_header(changed)
    assert header.has_log_append_time
    assert header.crc == crc32c(changed[21:])
    assert header == before._replace(
        attributes=before.attributes | 0x08, max_timestamp_ms=now_ms, crc=header.crc
    )
    assert changed[HEADER_BYTES:] == data[HEADER_BYTES:]
