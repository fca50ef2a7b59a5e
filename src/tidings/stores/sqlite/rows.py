"""What the rows of the file hold, read with every check there is.

    slot      (slot, entry, crc)      what fills each slot; crc over the entry
    cell      (name, value, crc)      crc over the name, a NUL, and the value
    boundary  (below, crc)            one row: slots below were trimmed; crc over the number as text

Journals have no gaps, so that a row which is missing, or says another slot, is seen as well: there
are rows beyond the place where it should be.
"""

import zlib
from collections.abc import Iterator

import apsw

from tidings.errors import Corrupt
from tidings.ports import Trimmed
from tidings.types import Slot

SCHEMA = """
CREATE TABLE slot (slot INTEGER PRIMARY KEY, entry BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE cell (name TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE boundary (below INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
"""

_READ = "SELECT slot, entry, crc FROM slot WHERE slot >= ? ORDER BY slot LIMIT ?"


def entry_crc(entry: bytes) -> int:
    """Return the checksum beside an entry."""
    return zlib.crc32(entry)


def cell_crc(name: str, value: bytes) -> int:
    """Return the checksum beside a cell's value."""
    return zlib.crc32(b"\0" + value, zlib.crc32(name.encode()))


def boundary_crc(below: int) -> int:
    """Return the checksum beside the boundary."""
    return zlib.crc32(b"%d" % below)


def read_boundary(connection: apsw.Connection) -> Slot:
    """Return the trim boundary.

    Raises:
        Corrupt: It is damaged.
    """
    rows = connection.execute("SELECT below, crc FROM boundary").fetchall()
    below, crc = rows[0] if len(rows) == 1 else (None, None)
    if not isinstance(below, int) or crc != boundary_crc(below):
        raise Corrupt("the trim boundary is damaged: it is not known which slots were trimmed")
    return Slot(below)


def read_entries(connection: apsw.Connection, start: Slot, count_max: int) -> list[bytes] | Trimmed:
    """Return entries as `OrderStore.read` does.

    Raises:
        Corrupt: A slot is damaged or missing; the text names it.
    """
    if start < read_boundary(connection):
        return Trimmed()
    found: list[bytes] = []
    for slot, entry, crc in connection.execute(_READ, (start, count_max)):
        check_slot(Slot(start + len(found)), slot, entry, crc)
        found.append(entry)
    return found


def check_slot(expected: Slot, slot: int, entry: object, crc: object) -> None:
    """Check one row. A damaged one may hold values of any type.

    Raises:
        Corrupt: It is not the row of slot `expected`, or not as it was written.
    """
    if slot != expected:
        raise Corrupt(f"slot {expected} is missing, though slot {slot} is there")
    if not isinstance(entry, bytes) or crc != entry_crc(entry):
        raise Corrupt(f"slot {slot} is damaged: its entry fails its checksum")


def read_cell(connection: apsw.Connection, name: str) -> bytes | None:
    """Return a cell's value; None if there is none.

    Raises:
        Corrupt: It is damaged; or there is none of that name, but a damaged one, which it may be.
    """
    row = connection.execute("SELECT value, crc FROM cell WHERE name = ?", (name,)).fetchone()
    if row is None:
        for damaged in damaged_cells(connection):
            raise Corrupt(f"cell {damaged!r} is damaged, and may have been cell {name!r}")
        return None
    value, crc = row
    if not isinstance(value, bytes) or crc != cell_crc(name, value):
        raise Corrupt(f"cell {name!r} is damaged: its value fails its checksum")
    return value


def damaged_cells(connection: apsw.Connection) -> Iterator[str]:
    """Yield the names of the cells that fail their checksums."""
    for name, value, crc in connection.execute("SELECT name, value, crc FROM cell NOT INDEXED"):
        if not (isinstance(name, str) and isinstance(value, bytes)):
            yield repr(name)
        elif crc != cell_crc(name, value):
            yield name
