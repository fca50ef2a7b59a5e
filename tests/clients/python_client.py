"""What the three Python clients do with a broker. scenarios.py says what they have to see."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tidings.types import Json

if TYPE_CHECKING:
    from python_admin import Admin

FIRST_MS = 1_000_000
COUNT = 10
EARLIEST, LATEST = -2, -1

POLL_S = 0.2
SESSION_MS = 6000
"""How long the others wait for a member that died: the shortest that brokers allow."""

HEARTBEAT_MS = 500


class ClientRecord(NamedTuple):
    """A record as a client sends or gets it."""

    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]] = ()
    offset: int = -1


class Reader(Protocol):
    """A consumer of partition 0 of one topic."""

    def read(self, count: int) -> list[ClientRecord]:
        """Return the next records, so many; fewer when none come for a while."""

    def end(self) -> int:
        """Return the end offset, as the consumer learns it."""

    def offset_for_time(self, timestamp_ms: int) -> int | None:
        """Return the offset of the first record from then on."""

    def close(self) -> None:
        """Say goodbye."""


class Member(Protocol):
    """A member of a consumer group, from the earliest offset on; it commits when it is told."""

    def poll(self) -> Sequence[bytes | None]:
        """Return the values of what comes in a while; be a member meanwhile."""

    def commit(self) -> None:
        """Commit everything that was returned."""

    def assigned(self) -> list[int]:
        """Return the partitions that this member has now."""

    def leave(self) -> None:
        """Leave the group."""


class Library(Protocol):
    """One client library."""

    def produce(
        self,
        topic: str,
        records: Sequence[ClientRecord],
        *,
        compression: str = "none",
        is_idempotent: bool = False,
        one_by_one: bool = False,
    ) -> list[int]:
        """Produce to partition 0; return the offsets that were acknowledged."""

    def reader(self, topic: str, start: int) -> Reader:
        """Return a reader that begins at an offset, or at EARLIEST or LATEST."""

    def member(
        self, topic: str, group: str, on_assigned: Callable[[], None] = lambda: None
    ) -> Member:
        """Return a new member of a group, with the timing of POLL_S and SESSION_MS.

        It may call `on_assigned` while it polls, when it has other partitions than before.
        """

    def admin(self) -> "Admin":
        """Return what administers the broker."""


RECORDS = [
    ClientRecord(b"k%d" % number, b"v%d" % number, FIRST_MS + 1000 * number)
    for number in range(COUNT)
]

STRANGE = [
    ClientRecord(None, b"no key", 1234567),
    ClientRecord(b"gone", None, 1234567),
    ClientRecord(b"", b"", 1234567, [("h", b"1"), ("h", b"2")]),
]


def text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def values(records: Sequence[ClientRecord]) -> list[str | None]:
    return [text(record.value) for record in records]


def read_from(library: Library, topic: str, start: int, count: int) -> list[ClientRecord]:
    reader = library.reader(topic, start)
    try:
        return reader.read(count)
    finally:
        reader.close()


def produce_with(compression: str) -> Callable[[Library, str], Json]:
    def scenario(library: Library, topic: str) -> Json:
        offsets = library.produce(topic, RECORDS, compression=compression)
        return {
            "offsets": offsets,
            "read": values(read_from(library, topic, EARLIEST, COUNT)),
        }

    return scenario


def strange_records(library: Library, topic: str) -> Json:
    library.produce(topic, STRANGE)
    found = read_from(library, topic, EARLIEST, len(STRANGE))
    return {
        "records": [
            {
                "key": text(record.key),
                "value": text(record.value),
                "timestamp": record.timestamp_ms,
                "headers": [[name, text(value)] for name, value in record.headers],
            }
            for record in found
        ]
    }


def earliest(library: Library, topic: str) -> Json:
    library.produce(topic, RECORDS)
    return {"read": values(read_from(library, topic, EARLIEST, COUNT))}


def offset(library: Library, topic: str) -> Json:
    library.produce(topic, RECORDS)
    return {"read": values(read_from(library, topic, 7, 3))}


def latest(library: Library, topic: str) -> Json:
    library.produce(topic, RECORDS)
    reader = library.reader(topic, LATEST)
    try:
        end = reader.end()
        library.produce(topic, [ClientRecord(b"new", b"new", FIRST_MS)])
        return {"end": end, "read": values(reader.read(1))}
    finally:
        reader.close()


def timestamp(library: Library, topic: str) -> Json:
    library.produce(topic, RECORDS)
    reader = library.reader(topic, EARLIEST)
    times = (0, 1_002_500, 1_009_000, 9_999_999)
    try:
        offsets = [reader.offset_for_time(time_ms) for time_ms in times]
    finally:
        reader.close()
    start = offsets[1]
    assert start is not None, "there are records after that time"
    (first,) = read_from(library, topic, start, 1)
    return {"offsets": offsets, "first": text(first.value)}


def idempotent(library: Library, topic: str) -> Json:
    library.produce(topic, RECORDS, is_idempotent=True, one_by_one=True)
    reader = library.reader(topic, EARLIEST)
    try:
        return {"read": values(reader.read(COUNT)), "end": reader.end()}
    finally:
        reader.close()


COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")

SCENARIOS: dict[str, Callable[[Library, str], Json]] = {
    **{f"produce-{name}": produce_with(name) for name in COMPRESSIONS},
    "records": strange_records,
    "earliest": earliest,
    "offset": offset,
    "latest": latest,
    "timestamp": timestamp,
    "idempotent": idempotent,
}
