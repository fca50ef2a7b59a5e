"""Records inside batches: written by us, read by clients' libraries, and the other way round."""

from contextlib import suppress
from importlib import import_module

from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidRequest
from tidings.kafka.record_batch import BatchHeader, Compression, check
from tidings.kafka.records import RecordFields, decode_batch, encode_batch

MemoryRecords = import_module("kafka.record").MemoryRecords

FIELDS = st.builds(
    RecordFields,
    st.integers(0, 2**50),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3).map(
        tuple
    ),
)


@given(st.lists(FIELDS, min_size=1, max_size=20), st.sampled_from(Compression))
def test_batch_gives_back_its_records(
    records: list[RecordFields], compression: Compression
) -> None:
    data = encode_batch(records, compression)
    header = check(data, produce_version=13, size_bytes_max=len(data))
    assert isinstance(header, BatchHeader), header
    assert header.max_timestamp_ms == max(record.timestamp_ms for record in records)
    assert [placed.fields for placed in decode_batch(data)] == records
    assert [placed.offset_delta for placed in decode_batch(data)] == list(range(len(records)))


@given(st.lists(FIELDS, min_size=1, max_size=5), st.sampled_from(Compression))
def test_batch_is_read_by_kafka_python(
    records: list[RecordFields], compression: Compression
) -> None:
    batch = MemoryRecords(encode_batch(records, compression)).next_batch()
    assert [
        RecordFields(one.timestamp, one.key, one.value, tuple(one.headers)) for one in batch
    ] == records


def test_lz4_blocks_stand_alone_as_javas_clients_want_them() -> None:
    data = encode_batch([RecordFields(0, None, b"x" * 200_000, ())], Compression.LZ4)
    frame = data[61:]
    assert frame[:4] == bytes.fromhex("04224d18")
    assert frame[4] & 0x20


@given(st.data())
def test_batch_that_was_cut_is_refused_or_read(data: st.DataObject) -> None:
    whole = encode_batch([RecordFields(0, b"key", b"value", (("h", b"v"),))] * 3, Compression.NONE)
    position = data.draw(st.integers(61, len(whole) - 1))
    changed = whole[:position] + bytes([data.draw(st.integers(0, 255))]) + whole[position + 1 :]
    with suppress(InvalidRequest):
        list(decode_batch(changed[: data.draw(st.integers(61, len(whole)))]))
