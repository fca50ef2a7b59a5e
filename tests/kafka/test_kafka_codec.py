"""The codec against kio's own readers and writers, in every version of every API that is served."""

import dataclasses
import io
import struct
import uuid
from typing import Any

import pytest
from broker_in_memory import request_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.serial import entity_reader, entity_writer

from tidings.errors import InvalidRequest
from tidings.kafka import codec
from tidings.kafka.apis import APIS
from tidings.kafka.decoding import ITEMS_MAX, Cursor, reader_of
from tidings.kafka.encoding import encode, write_uvarint
from tidings.kafka.schema import (
    ENTITY_KIND,
    Entity,
    Field,
    fields_of,
    request_class,
    response_class,
)

VERSIONS = [
    pytest.param(api.module, version, id=f"{api.module}-{version}")
    for api in APIS
    for version in range(api.lowest, api.highest + 1)
]
EXAMPLES = 8
"""For each message of each version; there are hundreds."""

_INTEGERS = {
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "timedelta_i32": 32,
    # As far as kio is exact.
    "timedelta_i64": 40,
    "datetime_i64": 40,
}


def values_of(entity: Entity) -> st.SearchStrategy[dict[str, Any]]:
    """Make values for some of an entity's fields; the others are left to their defaults."""
    return st.fixed_dictionaries(
        {}, optional={f.name: values_of_field(f) for f in fields_of(entity)}
    )


def values_of_field(field: Field) -> st.SearchStrategy[Any]:
    value = values_of_kind(field)
    if field.is_array:
        value = st.lists(value, max_size=3)
    return st.none() | value if field.is_nullable and field.tag is None else value


def values_of_kind(field: Field) -> st.SearchStrategy[Any]:
    match field.kind:
        case kind if kind == ENTITY_KIND:
            return values_of(field.entity)
        case "bool":
            return st.booleans()
        case "string":
            return st.text(max_size=5)
        case "bytes" | "records":
            return st.binary(max_size=5)
        case "uuid":
            return st.uuids()
        case "error_code":
            return st.integers(-1, 100)
        case "uint16":
            return st.integers(0, 2**16 - 1)
        case "datetime_i64":
            return st.integers(0, 2**40)
        case kind:
            bits = _INTEGERS[kind]
            return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def through_kio(entity: Entity, data: bytes) -> bytes:
    """Read bytes with kio and write them with kio; a reader that stops early is an error."""
    value, size = entity_reader(entity)(data, 0)
    assert size == len(data)
    out = io.BytesIO()
    entity_writer(entity)(out, value)
    return out.getvalue()


@pytest.mark.parametrize(("module", "version"), VERSIONS)
def test_encoding_of_every_response_is_what_kio_writes(module: str, version: int) -> None:
    entity = response_class(module, version)

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(values_of(entity))
    def check(values: dict[str, Any]) -> None:
        data = encode(entity, values)
        assert through_kio(entity, data) == data

    check()


def is_same(ours: Any, theirs: Any) -> bool:
    """Whether an object of ours has what an object of kio has."""
    if dataclasses.is_dataclass(theirs):
        names = [field.name for field in dataclasses.fields(theirs)]
        return sorted(vars(ours)) == sorted(names) and all(
            is_same(getattr(ours, name), getattr(theirs, name)) for name in names
        )
    if isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    return bool(ours == theirs)


@pytest.mark.parametrize(("module", "version"), VERSIONS)
def test_decoding_of_every_request_gives_what_kio_reads(module: str, version: int) -> None:
    entity = request_class(module, version)

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(values_of(entity))
    def check(values: dict[str, Any]) -> None:
        data = encode(entity, values)
        theirs, _ = entity_reader(entity)(data, 0)
        cursor = Cursor(memoryview(data))
        ours = reader_of(entity)(cursor)
        assert cursor.position == len(data)
        assert is_same(ours, theirs), (ours, theirs)

    check()


# Unknown tagged fields ----------------------------------------------------------------------------


def tagged(*fields: tuple[int, bytes]) -> bytes:
    """Return a section of tagged fields as it lies on the wire."""
    out = bytearray()
    write_uvarint(out, len(fields))
    for tag, content in fields:
        write_uvarint(out, tag)
        write_uvarint(out, len(content))
        out += content
    return bytes(out)


# What librdkafka 2.x sends first, but for the tagged fields: ApiVersions version 3.
API_VERSIONS_REQUEST = bytes.fromhex(
    "001200030000000100077264 6b61666b61000b6c696272646b61666b6107322e31352e3000"
)


def test_decode_of_a_request_as_librdkafka_sends_it_is_read() -> None:
    request = codec.decode("api_versions", 3, API_VERSIONS_REQUEST)
    assert request.client_id == "rdkafka"
    assert request.body.client_software_name == "librdkafka"
    assert request.body.client_software_version == "2.15.0"


@pytest.mark.parametrize("fields", [[(0, b"")], [(5, b"abc"), (300, bytes(200))]])
def test_decode_of_unknown_tags_in_header_and_body_skips_them(
    fields: list[tuple[int, bytes]],
) -> None:
    head, rest = API_VERSIONS_REQUEST[:17], API_VERSIONS_REQUEST[18:-1]
    request = codec.decode("api_versions", 3, head + tagged(*fields) + rest + tagged(*fields))
    assert request == codec.decode("api_versions", 3, API_VERSIONS_REQUEST)


def test_decode_of_unknown_tags_deep_in_a_request_skips_them() -> None:
    """One topic with a tag of its own, then one without, then a tag of the request."""
    topic_id = uuid.UUID(int=3)
    topics = (
        b"\x03"
        + (topic_id.bytes + b"\x02a" + tagged((0, b"xyz"), (7, b"")))
        + (bytes(16) + b"\x02b" + tagged())
    )
    frame = request_frame("metadata", 12, {"topics": []})
    body = codec.decode("metadata", 12, frame[:-4] + topics + b"\x01\x00" + tagged((1, b"q"))).body
    assert [(t.topic_id, t.name) for t in body.topics] == [(topic_id, "a"), (None, "b")]
    assert (body.allow_auto_topic_creation, body.include_topic_authorized_operations) == (
        True,
        False,
    )


def test_decode_of_known_tags_beside_unknown_ones_keeps_them() -> None:
    feature = b"\x02" + b"\x02f\x00\x01\x00\x02" + tagged((9, b"new"))
    epoch = (5).to_bytes(8, "big")
    data = bytes(2) + b"\x01" + bytes(4) + tagged((0, feature), (1, epoch), (99, b"zz"))
    answer = reader_of(response_class("api_versions", 3))(Cursor(data))
    (found,) = answer.supported_features
    assert (found.name, found.min_version, found.max_version) == ("f", 1, 2)
    assert answer.finalized_features_epoch == 5
    assert answer.finalized_features == ()


# Bytes that are no request ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(API_VERSIONS_REQUEST[:8], id="no client id"),
        pytest.param(API_VERSIONS_REQUEST[:12], id="half a client id"),
        pytest.param(API_VERSIONS_REQUEST[:17], id="no tags"),
        pytest.param(API_VERSIONS_REQUEST[:17] + b"\xff" * 6, id="a varint without end"),
        pytest.param(API_VERSIONS_REQUEST[:17] + b"\x01\x05\xff\x7fab", id="a header tag too long"),
        pytest.param(API_VERSIONS_REQUEST[:17] + b"\x7f\x00", id="too many tags"),
        pytest.param(API_VERSIONS_REQUEST[:-1], id="no tags of the body"),
        pytest.param(API_VERSIONS_REQUEST[:-1] + b"\x01\x63\x7fab", id="a tag too long"),
        pytest.param(API_VERSIONS_REQUEST[:20], id="half a body"),
        pytest.param(b"\0\x12\0\x03\0\0\0\1\0\1\xff\0\1\1\0", id="client id not in UTF-8"),
    ],
)
def test_decode_of_a_broken_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(InvalidRequest):
        codec.decode("api_versions", 3, frame)


@given(st.binary(max_size=200))
def test_decode_of_any_bytes_gives_a_request_or_is_refused(data: bytes) -> None:
    for version in (1, 12):
        try:
            codec.decode("metadata", version, API_VERSIONS_REQUEST[:18] + data)
        except InvalidRequest:
            continue


@pytest.mark.parametrize("count", [2**31 - 1, 100_001, -2])
@pytest.mark.parametrize("version", [1, 12])
def test_decode_of_an_impossible_count_is_refused_before_its_items(
    version: int, count: int
) -> None:
    """Kio's own reader ends the process for want of memory on some of these."""
    frame = request_frame("metadata", version, {"topics": []})
    if version == 1:
        frame = frame[:-4] + struct.pack(">i", count)
    else:
        number = bytearray()
        write_uvarint(number, (count + 1) % 2**35)
        frame = frame[:-4] + number
    with pytest.raises(InvalidRequest, match="does not fit"):
        codec.decode("metadata", version, frame + bytes(100_000))


def test_decode_of_more_items_than_a_request_may_have_is_refused() -> None:
    frame = request_frame("metadata", 1, {"topics": []})[:-4]
    too_many = ITEMS_MAX + 1
    with pytest.raises(InvalidRequest, match="items in one request"):
        codec.decode("metadata", 1, frame + struct.pack(">i", too_many) + bytes(2 * too_many))


def test_encode_of_none_where_a_version_needs_a_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="name cannot be None in this version"):
        codec.encode_response("metadata", 5, {"topics": [{"name": None}]})
    with pytest.raises(ValueError, match="brokers cannot be None"):
        codec.encode_response("metadata", 5, {"brokers": None})


def test_encode_leaves_out_what_a_version_does_not_know() -> None:
    assert codec.encode_response("metadata", 0, {"cluster_id": "c"}) == bytes(8)


def test_field_that_a_version_lacks_has_the_default() -> None:
    request = codec.decode("metadata", 1, request_frame("metadata", 1, {"topics": None})).body
    assert codec.field(request, "allow_auto_topic_creation", default=True) is True
    assert codec.field(request, "topics", default=()) is None
