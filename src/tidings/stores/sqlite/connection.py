"""Connections to the file: how they are set up, which SQLite they trust, what its errors mean."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from tidings.errors import Corrupt, Indeterminate, Unavailable
from tidings.stores.sqlite import wal
from tidings.stores.sqlite.rows import SCHEMA, boundary_crc
from tidings.types import Slot

APPLICATION_ID = 0x54444E47
"""`TDNG`: where a file says whose it is."""

FORMAT_VERSION = 1

PAGE_BYTES = 16 * 1024
"""Larger pages make large entries cheaper and small ones dearer. See docs/decisions/0010."""

WAL_BYTES_MAX = 8 * 1024 * 1024
"""A log that has grown so long is written into the file: after each few entries, or thousands."""

CACHE_KIBIBYTES = 4 * 1024
"""Memory for pages, in each connection."""

BUSY_TIMEOUT_MS = 2000
"""How long the writer waits for readers: at opening, at closing and to begin the log anew."""

QUICK_CHECK_BYTES_MAX = 256 * 1024 * 1024
"""A file up to this size is checked whole when it is opened; a larger one only by `verify`."""

DAMAGING_VERSIONS = ((3_007_000, 3_051_002), (3_052_000, 3_052_000))
"""SQLite versions whose WAL reset can damage a file (fixed in 3.51.3), and the one withdrawn."""


class SyncFailed(Indeterminate):
    """The disk failed to sync: what was written may or may not be there."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate SQLite's errors into those of the ports.

    Raises:
        Unavailable: Nothing was changed: the disk is full, or failed to write or read.
        SyncFailed: Nobody knows.
        Corrupt: The file is damaged.
    """
    try:
        yield
    except _DAMAGES as error:
        raise Corrupt(f"the journal's file is damaged: {error}") from error
    except apsw.FullError as error:
        raise Unavailable(f"the disk is full: {error}") from error
    except apsw.IOError as error:
        if _extended_code(error) in _SYNC_ERRORS:
            raise SyncFailed(f"the disk failed to sync: {error}") from error
        # The record that makes a transaction one is written last: it is not there.
        raise Unavailable(f"the disk failed: {error}") from error
    except (apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise Unavailable(f"the journal's file cannot be used: {error}") from error


_DAMAGES = (
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.FormatError,
    # The statements are right: it is what they meet in the file that is not.
    apsw.SQLError,
    apsw.MismatchError,
    apsw.TooBigError,
    UnicodeDecodeError,
)


def _extended_code(error: apsw.Error) -> int:
    # The type stubs do not know this attribute, which every error of SQLite's has.
    code: int = vars(error).get("extendedresult", 0)
    return code


_SYNC_ERRORS = (
    apsw.SQLITE_IOERR_FSYNC,
    apsw.SQLITE_IOERR_DIR_FSYNC,
    apsw.SQLITE_IOERR_CLOSE,
)


def refuse_damaging(version: int) -> None:
    """Refuse an SQLite version that may damage the file.

    Raises:
        Unavailable: It is one of them.
    """
    if any(first <= version <= last for first, last in DAMAGING_VERSIONS):
        text = ".".join(str(version // part % 1000) for part in (1_000_000, 1000, 1))
        raise Unavailable(
            f"SQLite {text} can damage a file with a write-ahead log; install a newer apsw"
        )


def connect_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the file to write, or create it.

    Raises:
        Corrupt: It is damaged, not of this program, or of a later version.
        Unavailable: It cannot be opened.
    """
    refuse_damaging(apsw.SQLITE_VERSION_NUMBER)
    found = wal.look(path)
    with translated(), contextlib.ExitStack() as stack:
        connection = apsw.Connection(str(path), vfs=vfs)
        stack.callback(connection.close)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        if _is_new(connection):
            _create(connection)
        _check_identity(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        _check_file(connection, path, found)
        stack.pop_all()
    return connection


def connect_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the file to read only.

    Raises:
        Corrupt: It is damaged, not of this program, or of a later version.
        Unavailable: It cannot be opened.
    """
    with translated(), contextlib.ExitStack() as stack:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
        stack.callback(connection.close)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        _check_identity(connection)
        stack.pop_all()
    return connection


def _is_new(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_schema").get


def _create(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO boundary VALUES (0, ?)", (boundary_crc(Slot(0)),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _check_identity(connection: apsw.Connection) -> None:
    if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
        raise Corrupt("the journal's file is damaged, or not one of this program")
    version = connection.execute("PRAGMA user_version").get
    if version != FORMAT_VERSION:
        raise Corrupt(
            f"the journal's file is damaged, or has layout {version};"
            f" this program knows {FORMAT_VERSION}"
        )


def _check_file(connection: apsw.Connection, path: Path, found: wal.Wal | None) -> None:
    if connection.execute("PRAGMA journal_mode").get != "wal":
        raise Corrupt("the journal's file is damaged: it has lost its write-ahead log")
    if found is not None:
        wal.check(found, wal.frames_used(path))
    if path.stat().st_size <= QUICK_CHECK_BYTES_MAX:
        problems = quick_check(connection)
        if problems:
            raise Corrupt(f"the journal's file is damaged: {problems[0]}")


def quick_check(connection: apsw.Connection) -> list[str]:
    """Return what SQLite finds wrong with the structure of the file."""
    return [text for (text,) in connection.execute("PRAGMA quick_check") if text != "ok"]
