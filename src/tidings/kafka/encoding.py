"""Responses, from nested dictionaries to bytes, by the layout of any version.

A value is what the field's kind says: whole numbers for durations and times too (milliseconds),
`uuid.UUID` or its 16 bytes for ids (None for the zero id), mappings for structures. What a version
does not know is left out; what a mapping lacks has the default of the schema.

kio has writers as well. They want an object of the version's own class for each structure, and
take ten times as long.
"""

import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from tidings.kafka.schema import ENTITY_KIND, Entity, Field, fields_of

Writer = Callable[[bytearray, Any], None]

_FORMATS = {
    "bool": ">?",
    "int8": ">b",
    "int16": ">h",
    "int32": ">i",
    "int64": ">q",
    "uint16": ">H",
    "float64": ">d",
    "error_code": ">h",
    "timedelta_i32": ">i",
    "timedelta_i64": ">q",
}

_NO_TIME_MS = -1
_ZERO_ID = bytes(16)


def encode(entity: Entity, values: Mapping[str, Any]) -> bytes:
    """Return the bytes of a message.

    Raises:
        struct.error: A number does not fit its field.
        ValueError: None stands where the version has to have a value.
    """
    out = bytearray()
    writer_of(entity)(out, values)
    return bytes(out)


@cache
def writer_of(entity: Entity) -> Writer:
    """Return what writes an entity at the end of a buffer."""
    flexible = entity.__flexible__
    fields = [(field, _field_writer(field, flexible=flexible)) for field in fields_of(entity)]
    plain = [(field.name, write, field.default) for field, write in fields if field.tag is None]
    tagged = [(field, write) for field, write in fields if field.tag is not None]

    def write_entity(out: bytearray, values: Mapping[str, Any]) -> None:
        for name, write, default in plain:
            write(out, values.get(name, default))
        if flexible:
            _write_tagged(out, values, tagged)

    return write_entity


def _write_tagged(
    out: bytearray, values: Mapping[str, Any], fields: Sequence[tuple[Field, Writer]]
) -> None:
    present = [
        (field.tag, write, values[field.name])
        for field, write in fields
        if field.name in values and not _is_default(field, values[field.name])
    ]
    write_uvarint(out, len(present))
    for tag, write, value in present:
        assert tag is not None, "these are the tagged fields"
        content = bytearray()
        write(content, value)
        write_uvarint(out, tag)
        write_uvarint(out, len(content))
        out += content


def _is_default(field: Field, value: Any) -> bool:  # noqa: ANN401 -- it can be of any kind
    if field.is_array:
        return not value
    if isinstance(field.default, dict):
        return {**field.default, **value} == field.default
    return bool(value == field.default)


def _field_writer(field: Field, *, flexible: bool) -> Writer:
    nullable_value = field.is_nullable and not field.is_array and field.tag is None
    write = _value_writer(field, flexible=flexible, nullable=nullable_value)
    if not field.is_array:
        return write
    return _array_writer(write, flexible=flexible, nullable=field.is_nullable, name=field.name)


def _value_writer(field: Field, *, flexible: bool, nullable: bool) -> Writer:
    match field.kind:
        case "string":
            size = _compact_size if flexible else _struct_writer(">h")
            return _sized_writer(size, str.encode, nullable=nullable, name=field.name)
        case "bytes" | "records":
            size = _compact_size if flexible else _struct_writer(">i")
            return _sized_writer(size, bytes, nullable=nullable, name=field.name)
        case "uuid":
            return _write_uuid
        case "datetime_i64":
            return _write_time
        case kind if kind == ENTITY_KIND:
            write = writer_of(field.entity)
            return _nullable_entity_writer(write) if nullable else write
        case kind:
            return _struct_writer(_FORMATS[kind])


def _struct_writer(layout: str) -> Writer:
    pack = struct.Struct(layout).pack

    def write_number(out: bytearray, value: float) -> None:
        out += pack(value)

    return write_number


def _sized_writer(
    write_size: Writer, to_bytes: Callable[[Any], bytes], *, nullable: bool, name: str
) -> Writer:
    def write_sized(out: bytearray, value: str | bytes | None) -> None:
        if value is None:
            _check_nullable(nullable, name)
            write_size(out, -1)
            return
        data = to_bytes(value)
        write_size(out, len(data))
        out += data

    return write_sized


def _array_writer(write_item: Writer, *, flexible: bool, nullable: bool, name: str) -> Writer:
    write_count = _compact_size if flexible else _struct_writer(">i")

    def write_array(out: bytearray, items: Sequence[Any] | None) -> None:
        if items is None:
            _check_nullable(nullable, name)
            write_count(out, -1)
            return
        write_count(out, len(items))
        for item in items:
            write_item(out, item)

    return write_array


def _nullable_entity_writer(write: Writer) -> Writer:
    def write_nullable(out: bytearray, value: Mapping[str, Any] | None) -> None:
        if value is None:
            out += b"\xff"
            return
        out += b"\x01"
        write(out, value)

    return write_nullable


def _check_nullable(nullable: bool, name: str) -> None:  # noqa: FBT001 -- private, and its only question
    if not nullable:
        raise ValueError(f"{name} cannot be None in this version")


def _write_uuid(out: bytearray, value: uuid.UUID | bytes | None) -> None:
    data = value.bytes if isinstance(value, uuid.UUID) else value or _ZERO_ID
    assert len(data) == len(_ZERO_ID), f"an id has 16 bytes, not {len(data)}"
    out += data


def _write_time(out: bytearray, value_ms: int | None) -> None:
    out += struct.pack(">q", _NO_TIME_MS if value_ms is None else value_ms)


def _compact_size(out: bytearray, size: int) -> None:
    """Write the size of something compact: one more than it is, 0 for null (KIP-482)."""
    write_uvarint(out, size + 1)


def write_uvarint(out: bytearray, value: int) -> None:
    """Write an unsigned varint: seven bits in each byte, lowest first."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
