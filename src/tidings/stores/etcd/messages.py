"""The few messages of etcd's API that an order store needs, to bytes and back.

Protocol Buffers: a message is a sequence of fields, each a number, a type, and a value. Field
numbers are those of etcd's `rpc.proto` and `kv.proto`. Fields that nobody asks for are skipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tidings.errors import Corrupt

TXN = "/etcdserverpb.KV/Txn"
RANGE = "/etcdserverpb.KV/Range"
DELETE_RANGE = "/etcdserverpb.KV/DeleteRange"
WATCH = "/etcdserverpb.Watch/Watch"
AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_EQUAL, _GREATER, _LESS = 0, 1, 2
_CREATE_REVISION, _VALUE = 1, 3
_DESCENDING, _BY_KEY = 2, 0
_NO_DELETES = 1


# To bytes -----------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def is_absent(key: bytes) -> bytes:
    """A condition: there is no such key."""
    return _number(1, _EQUAL) + _number(2, _CREATE_REVISION) + _bytes(3, key) + _number(5, 0)


def is_present(key: bytes) -> bytes:
    """A condition: there is such a key."""
    return _number(1, _GREATER) + _number(2, _CREATE_REVISION) + _bytes(3, key) + _number(5, 0)


def holds(key: bytes, value: bytes) -> bytes:
    """A condition: the key is there and has that value."""
    return _number(1, _EQUAL) + _number(2, _VALUE) + _bytes(3, key) + _bytes(7, value)


def is_below(key: bytes, value: bytes) -> bytes:
    """A condition: the key is there and its value is smaller, byte by byte."""
    return _number(1, _LESS) + _number(2, _VALUE) + _bytes(3, key) + _bytes(7, value)


def put(key: bytes, value: bytes) -> bytes:
    """A step of a transaction."""
    return _bytes(2, _bytes(1, key) + _bytes(2, value))


def get(key: bytes, end: bytes = b"") -> bytes:
    """A step of a transaction: read a key, or all keys before `end`, in order."""
    return _bytes(1, range_request(key, end))


def transaction(
    conditions: Iterable[bytes], success: Iterable[bytes], failure: Iterable[bytes] = ()
) -> bytes:
    """A request: if all conditions hold carry out one list of steps, and the other if not."""
    parts = [_bytes(1, each) for each in conditions]
    parts += [_bytes(2, each) for each in success]
    parts += [_bytes(3, each) for each in failure]
    return b"".join(parts)


def range_request(
    key: bytes, end: bytes = b"", *, count_max: int = 0, is_last_first: bool = False
) -> bytes:
    """A request: read a key, or keys before `end`, linearizably."""
    request = _bytes(1, key)
    if end:
        request += _bytes(2, end)
    if count_max:
        request += _number(3, count_max)
    if is_last_first:
        request += _number(5, _DESCENDING) + _number(6, _BY_KEY)
    return request


def keys_only(range_of: bytes) -> bytes:
    """Make a range request leave out the values."""
    return range_of + _number(8, 1)


def delete_range_request(key: bytes, end: bytes) -> bytes:
    """A request: delete all keys from `key` on, before `end`."""
    return _bytes(1, key) + _bytes(2, end)


def watch_request(key: bytes, end: bytes, start_revision: int) -> bytes:
    """A request: tell of what is put from that revision on."""
    wanted = _bytes(1, key) + _bytes(2, end) + _number(3, start_revision) + _number(5, _NO_DELETES)
    return _bytes(1, wanted)


def authenticate_request(name: str, password: str) -> bytes:
    """A request for a token."""
    return _bytes(1, name.encode()) + _bytes(2, password.encode())


# From bytes ---------------------------------------------------------------------------------------


class Fields:
    """The fields of one message, by number; several with one number in their order."""

    def __init__(self, data: bytes) -> None:
        """Take a message apart.

        Raises:
            Corrupt: It is none.
        """
        self._numbers: dict[int, int] = {}
        self._bytes: dict[int, list[bytes]] = {}
        position = 0
        try:
            while position < len(data):
                tag, position = _read_varint(data, position)
                position = self._read_field(tag, data, position)
        except IndexError:
            raise Corrupt("etcd answered with something that ends too early") from None

    def _read_field(self, tag: int, data: bytes, position: int) -> int:
        field, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            self._numbers[field], position = _read_varint(data, position)
        elif kind == _BYTES:
            size, position = _read_varint(data, position)
            if position + size > len(data):
                raise IndexError
            self._bytes.setdefault(field, []).append(data[position : position + size])
            position += size
        elif kind in {_FIXED64, _FIXED32}:
            position += 8 if kind == _FIXED64 else 4
        else:
            raise Corrupt(f"etcd answered with a field of the unknown kind {kind}")
        return position

    def number(self, field: int) -> int:
        """Return a number; 0 if there is none."""
        return self._numbers.get(field, 0)

    def all(self, field: int) -> list[bytes]:
        """Return every value of a field of bytes, texts or messages."""
        return self._bytes.get(field, [])

    def one(self, field: int) -> bytes:
        """Return the last value of such a field; empty if there is none."""
        values = self.all(field)
        return values[-1] if values else b""


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key and what it holds."""

    key: bytes
    value: bytes
    mod_revision: int
    """The revision at which it was written."""

    @classmethod
    def decode(cls, data: bytes) -> "KeyValue":
        """Return the one that these bytes are."""
        fields = Fields(data)
        return cls(fields.one(1), fields.one(5), fields.number(3))


@dataclass(frozen=True, slots=True)
class Found:
    """What a range holds, in the order of its keys, and the revision at which it was read."""

    pairs: list[KeyValue]
    revision: int

    @classmethod
    def decode(cls, data: bytes) -> "Found":
        """Return what the answer to a range request says."""
        fields = Fields(data)
        pairs = [KeyValue.decode(each) for each in fields.all(2)]
        return cls(pairs, Fields(fields.one(1)).number(3))

    @property
    def value(self) -> bytes | None:
        """The value of the one key that was asked for; None if it is not there."""
        return self.pairs[0].value if self.pairs else None


@dataclass(frozen=True, slots=True)
class Carried:
    """Which list of steps a transaction carried out, and what its reads found."""

    succeeded: bool
    found: list[Found]

    @classmethod
    def decode(cls, data: bytes) -> "Carried":
        """Return what the answer to a transaction says."""
        fields = Fields(data)
        answers = [Fields(each) for each in fields.all(3)]
        found = [Found.decode(each.one(1)) for each in answers if each.all(1)]
        return cls(bool(fields.number(2)), found)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch tells."""

    is_over: bool
    """It was cancelled: what comes next was compacted away, say."""
    reason: str
    put: list[KeyValue]

    @classmethod
    def decode(cls, data: bytes) -> "Watched":
        """Return what one message of a watch says."""
        fields = Fields(data)
        events = [Fields(each) for each in fields.all(11)]
        return cls(
            is_over=bool(fields.number(4)),
            reason=fields.one(6).decode(errors="replace"),
            put=[KeyValue.decode(event.one(2)) for event in events if not event.number(1)],
        )
