"""The order store in one SQLite file, for one process that has the data folder to itself.

One thread owns the connection that writes, and makes every checkpoint of the write-ahead log (WAL);
another owns the one that reads. Each change is one transaction, on disk when it is answered:

    Q1  A slot is filled only at the end of the journal and not below the boundary; the statement
        that fills it looks at both.
    Q2  The boundary moves BEFORE the rows below it are deleted, in another transaction. Rows below
        it are no slots any more; a crash leaves some, and the next trim deletes them.
    Q3  After the disk failed to sync, nobody knows what it holds: nothing more is written until the
        store is opened again.

`tidings.stores.sqlite.rows` has the tables, `tidings.stores.sqlite.connection` what SQLite is told.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from tidings.errors import Corrupt, Indeterminate, InvalidRequest, Unavailable
from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.sqlite.connection import (
    PAGE_BYTES,
    WAL_BYTES_MAX,
    SyncFailed,
    connect_reader,
    connect_writer,
    translated,
)
from tidings.stores.sqlite.rows import (
    boundary_crc,
    cell_crc,
    entry_crc,
    read_boundary,
    read_cell,
    read_entries,
)
from tidings.stores.threads import Threads
from tidings.types import Slot

T = TypeVar("T")

ENTRY_BYTES_MAX = 1024 * 1024
"""As large as a message between nodes allows; larger ones are slower here than a blob."""

INLINE_BYTES_MAX = 64 * 1024
"""SQLite writes twice: into its log, and later into the file. See docs/decisions/0010."""

TRIM_STEP_SLOTS = 256
"""Rows that one transaction deletes: appends that wait get their turn between two of them."""

_APPEND = """
INSERT INTO slot (slot, entry, crc)
SELECT ?1, ?2, ?3 FROM boundary
WHERE ?1 = below OR (?1 > below AND EXISTS (SELECT 1 FROM slot WHERE slot = ?1 - 1))
ON CONFLICT (slot) DO NOTHING
"""

_TRIM_STEP = """
DELETE FROM slot WHERE slot IN (
  SELECT slot FROM slot WHERE slot < (SELECT below FROM boundary) ORDER BY slot LIMIT ?
)
"""

_SET_CELL = """
INSERT INTO cell (name, value, crc) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc = excluded.crc
"""


class SqliteOrderStore:
    """Slots and cells in one file. Make it in the event loop that uses it."""

    entry_bytes_max = ENTRY_BYTES_MAX
    inline_bytes_max = INLINE_BYTES_MAX
    can_trim = True
    is_exclusive = True

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Open or create the file; blocks for some milliseconds.

        Who calls sees to it that no other process has the file open. `vfs` names SQLite's way to
        the disk, if not its own.

        Raises:
            Corrupt: It is damaged, or not of this program.
            Unavailable: It cannot be opened, or SQLite is a version that damages files.
        """
        # Why nothing may be written any more; empty while all is well.
        self._broken = ""
        self._writer_connection = connect_writer(path, vfs)
        self._reader_connection = connect_reader(path, vfs)
        # Set by SQLite after each commit: how long the log is.
        self._wal_bytes = 0
        self._writer_connection.set_wal_hook(self._note_wal)
        self._writer = Threads("order writer", afterwards=self._checkpoint)
        self._reader = Threads("order reader")

    async def close(self) -> None:
        """Finish what waits, and close the file; calls from now on are refused."""
        await self._writer.close()
        await self._reader.close()
        self._reader_connection.close()
        with translated():
            # The last connection writes the whole log into the file.
            self._writer_connection.close()

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        if len(entry) > ENTRY_BYTES_MAX:
            raise InvalidRequest(f"an entry has {len(entry)} bytes; at most {ENTRY_BYTES_MAX} fit")
        try:
            return await self._write(lambda: self._append(slot, entry))
        except Indeterminate as error:
            return Unsettled(str(error))

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        return await self._read(lambda: read_entries(self._reader_connection, start, count_max))

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        try:
            await self._write(lambda: self._move_boundary(below))
            while await self._write(self._delete_trimmed) == TRIM_STEP_SLOTS:
                pass
        except Indeterminate as error:
            raise Unavailable(str(error)) from error

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        return await self._read(lambda: read_cell(self._reader_connection, name))

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        return await self._write(lambda: self._swap_cell(name, old, new))

    async def _read(self, function: Callable[[], T]) -> T:
        def guarded() -> T:
            with translated():
                return _in_transaction(self._reader_connection, function)

        try:
            return await self._reader.call(guarded)
        except Indeterminate as error:
            raise Unavailable(str(error)) from error

    async def _write(self, function: Callable[[], T]) -> T:
        return await self._writer.call(lambda: self._guarded(function))

    # On the writer's thread ---------------------------------------------------------------------

    def _guarded(self, function: Callable[[], T]) -> T:
        if self._broken:
            raise Unavailable(self._broken)
        try:
            with translated():
                return function()
        except SyncFailed as error:
            self._broken = f"{error}; nothing is written until this is opened again"
            raise

    def _append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        connection = self._writer_connection
        connection.execute(_APPEND, (slot, entry, entry_crc(entry)))
        if connection.changes():
            return Appended()
        # Nobody else writes: nothing changes between that statement and these.
        found = read_entries(connection, slot, 1)
        if isinstance(found, Trimmed):
            return found
        if not found:
            raise AssertionError(f"slot {slot} would leave a gap behind it")
        return Occupied(found[0])

    def _move_boundary(self, below: Slot) -> None:
        connection = self._writer_connection
        held = read_boundary(connection)
        last = connection.execute("SELECT max(slot) FROM slot").get
        moved = held if last is None else min(below, last + 1)
        if moved > held:
            row = (moved, boundary_crc(moved))
            connection.execute("UPDATE boundary SET below = ?, crc = ?", row)

    def _delete_trimmed(self) -> int:
        self._writer_connection.execute(_TRIM_STEP, (TRIM_STEP_SLOTS,))
        return self._writer_connection.changes()

    def _swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        if read_cell(self._writer_connection, name) != old:
            return False
        self._writer_connection.execute(_SET_CELL, (name, new, cell_crc(name, new)))
        return True

    def _note_wal(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_bytes = pages * PAGE_BYTES
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Write a log that has grown into the file, after its transaction was answered.

        With readers that overlap, some part of the log is always in use, and it could never be
        begun anew. So this waits until those have ended who began before it (RESTART); who begins
        meanwhile finds all in the file and does not need the log.
        """
        if self._wal_bytes < WAL_BYTES_MAX or self._broken:
            return
        self._wal_bytes = 0
        try:
            with translated():
                self._writer_connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except SyncFailed as error:
            self._broken = f"{error}; nothing is written until this is opened again"
        except (Unavailable, Indeterminate, Corrupt):
            # The log still holds everything; it grows until a later try succeeds.
            return


def _in_transaction(connection: apsw.Connection, function: Callable[[], T]) -> T:
    """Call what reads in one transaction, so that, say, the boundary is that of the rows."""
    connection.execute("BEGIN")
    try:
        return function()
    finally:
        connection.execute("COMMIT")


_order_store: type[OrderStore] = SqliteOrderStore
