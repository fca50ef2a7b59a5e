"""Requests, from bytes to objects, by the layout of any version.

An object has the attributes of kio's class, with the values that kio's readers give: `timedelta`
for durations, None for the zero id. Tagged fields that the schema does not know are skipped
(KIP-482).

kio has native readers, which are faster, but not to be shown to strangers: they refuse unknown
tagged fields, and believe the count of an array before they look for its items, so that a request
of thirty bytes makes them ask for 250 GB, and the process ends. Here every array must fit into what
is left of its request, and all together hold at most `ITEMS_MAX` items.
"""

import struct
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, TypeAlias

from tidings.errors import InvalidRequest
from tidings.kafka.schema import ENTITY_KIND, Entity, Field, fields_of

ITEMS_MAX = 100_000
"""Items of all arrays of one request: as objects they take many times the bytes they came in."""

_UVARINT_BYTES_MAX = 5
_UUID_BYTES = 16
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FORMATS = {
    "bool": ">?",
    "error_code": ">h",
    "int8": ">b",
    "int16": ">h",
    "int32": ">i",
    "int64": ">q",
    "uint16": ">H",
    "float64": ">d",
}


class Cursor:
    """A place in a request."""

    __slots__ = ("data", "items_left", "position")

    def __init__(self, data: bytes | memoryview, position: int = 0) -> None:
        self.data = data
        self.position = position
        self.items_left = ITEMS_MAX

    def take(self, size: int) -> bytes | memoryview:
        """Return the next so many bytes, and step over them.

        Raises:
            InvalidRequest: There are not so many.
        """
        start = self.position
        end = start + size
        if size < 0 or end > len(self.data):
            raise InvalidRequest("it ends in the middle of a field, or a size is negative")
        self.position = end
        return self.data[start:end]

    def uvarint(self) -> int:
        """Read an unsigned varint: seven bits in each byte, lowest first.

        Raises:
            InvalidRequest: It does not end.
        """
        data, start = self.data, self.position
        if start < len(data) and data[start] < 0x80:
            # Nearly all are of one byte.
            self.position = start + 1
            return data[start]
        value = 0
        for place, byte in enumerate(data[start : start + _UVARINT_BYTES_MAX]):
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                self.position = start + place + 1
                return value
        raise InvalidRequest("a varint does not end")

    def skip_no_tagged(self) -> bool:
        """Step over an empty section of tagged fields, as nearly all are; else do nothing."""
        if self.position >= len(self.data) or self.data[self.position]:
            return False
        self.position += 1
        return True

    def skip_tagged(self) -> None:
        """Step over a section of tagged fields."""
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())


Number: TypeAlias = Any
"""An int, a float or a bool."""

Reader = Callable[[Cursor], Any]


@cache
def reader_of(entity: Entity) -> Reader:
    """Return what reads an entity at a cursor, and moves it behind.

    The reader raises InvalidRequest, `struct.error` or a ValueError where the bytes are no such
    entity.
    """
    flexible = entity.__flexible__
    readers = [(field, _field_reader(field, flexible=flexible)) for field in fields_of(entity)]
    plain = [(field.name, read) for field, read in readers if field.tag is None]
    tagged = {f.tag: (f.name, read) for f, read in readers if f.tag is not None}
    absent = {field.name: _absent(field) for field, _ in readers if field.tag is not None}

    def read_entity(cursor: Cursor) -> SimpleNamespace:
        values = {name: read(cursor) for name, read in plain}
        if flexible:
            values.update(absent)
            if not cursor.skip_no_tagged():
                _read_tagged(cursor, tagged, values)
        return SimpleNamespace(**values)

    return read_entity


def _read_tagged(
    cursor: Cursor, known: dict[int, tuple[str, Reader]], values: dict[str, Any]
) -> None:
    for _ in range(cursor.uvarint()):
        tag = cursor.uvarint()
        content = Cursor(cursor.take(cursor.uvarint()))
        if tag in known:
            name, read = known[tag]
            content.items_left = cursor.items_left
            values[name] = read(content)
            cursor.items_left = content.items_left


def _absent(field: Field) -> object:
    """Return what a tagged field holds that is not there."""
    if not isinstance(field.default, dict):
        return field.default
    return SimpleNamespace(**{inner.name: _absent(inner) for inner in fields_of(field.entity)})


def _field_reader(field: Field, *, flexible: bool) -> Reader:
    nullable_value = field.is_nullable and not field.is_array and field.tag is None
    read = _value_reader(field, flexible=flexible, nullable=nullable_value)
    if not field.is_array:
        return read
    return _array_reader(read, flexible=flexible, nullable=field.is_nullable)


def _value_reader(field: Field, *, flexible: bool, nullable: bool) -> Reader:
    match field.kind:
        case "string":
            return _text_reader(_size_reader(">h", flexible=flexible), nullable=nullable)
        case "bytes" | "records":
            return _bytes_reader(_size_reader(">i", flexible=flexible), nullable=nullable)
        case "uuid":
            return _read_uuid
        case "timedelta_i32":
            return _duration_reader(">i")
        case "timedelta_i64":
            return _duration_reader(">q")
        case "datetime_i64":
            return _read_time
        case kind if kind == ENTITY_KIND:
            read = reader_of(field.entity)
            return _nullable_entity_reader(read) if nullable else read
        case kind:
            return _number_reader(_FORMATS[kind])


def _number_reader(layout: str) -> Callable[[Cursor], Number]:
    packed = struct.Struct(layout)
    unpack_from, size = packed.unpack_from, packed.size

    def read_number(cursor: Cursor) -> Number:
        position = cursor.position
        cursor.position = position + size
        number: Number = unpack_from(cursor.data, position)[0]
        return number

    return read_number


def _size_reader(layout: str, *, flexible: bool) -> Callable[[Cursor], int]:
    """Return what reads a size; null has the size -1."""
    if flexible:
        return _read_compact_size
    return _number_reader(layout)


def _read_compact_size(cursor: Cursor) -> int:
    return cursor.uvarint() - 1


def _text_reader(read_size: Callable[[Cursor], int], *, nullable: bool) -> Reader:
    def read_text(cursor: Cursor) -> str | None:
        size = read_size(cursor)
        if size == -1 and nullable:
            return None
        return str(cursor.take(size), "utf-8")

    return read_text


def _bytes_reader(read_size: Callable[[Cursor], int], *, nullable: bool) -> Reader:
    def read_bytes(cursor: Cursor) -> bytes | None:
        size = read_size(cursor)
        if size == -1 and nullable:
            return None
        return bytes(cursor.take(size))

    return read_bytes


def _array_reader(read_item: Reader, *, flexible: bool, nullable: bool) -> Reader:
    read_count = _size_reader(">i", flexible=flexible)

    def read_array(cursor: Cursor) -> Sequence[Any] | None:
        count = read_count(cursor)
        if count == -1 and nullable:
            return None
        # Every item takes a byte at least.
        if not 0 <= count <= len(cursor.data) - cursor.position:
            raise InvalidRequest(f"an array of {count} items does not fit")
        cursor.items_left -= count
        if cursor.items_left < 0:
            raise InvalidRequest(f"more than {ITEMS_MAX} items in one request")
        return tuple([read_item(cursor) for _ in range(count)])

    return read_array


def _nullable_entity_reader(read: Reader) -> Reader:
    def read_nullable(cursor: Cursor) -> Entity:
        # -1 for null, 1 for an entity that follows (KIP-893).
        return read(cursor) if cursor.take(1)[0] == 1 else None

    return read_nullable


def _duration_reader(layout: str) -> Reader:
    read_number = _number_reader(layout)
    return lambda cursor: duration(read_number(cursor))


@lru_cache(maxsize=64)
def duration(time_ms: int) -> timedelta:
    """Return a duration; a client asks with few different ones, and making one takes a while."""
    return timedelta(milliseconds=time_ms)


def _read_uuid(cursor: Cursor) -> uuid.UUID | None:
    value = uuid.UUID(bytes=bytes(cursor.take(_UUID_BYTES)))
    return value if value.int else None


def _read_time(cursor: Cursor) -> datetime | None:
    time_ms: int = _read_int64(cursor)
    return None if time_ms == -1 else _EPOCH + time_ms * _MILLISECOND


_read_int64 = _number_reader(">q")
