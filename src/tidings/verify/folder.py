"""Verifies a data folder that no process has open. Nothing in it is changed.

First everything that is stored is read by itself: each slot from the trim boundary on, each cell,
each blob. Then the index says which records lie in what is damaged.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw

from tidings.core.entry import Entry, decode_entry
from tidings.errors import Corrupt, Unavailable
from tidings.stores.files.blob_files import BlobFiles, check_blob_file
from tidings.stores.folder import BLOBS_FOLDER, JOURNAL_FILE, locked, read_identity
from tidings.stores.sqlite import wal
from tidings.stores.sqlite.connection import connect_reader, quick_check, translated
from tidings.stores.sqlite.rows import check_slot, damaged_cells, read_boundary, read_cell
from tidings.types import Slot
from tidings.verify.index import Journal, walk_index
from tidings.verify.report import Report


def verify_folder(path: Path) -> Report:
    """Read all that a data folder holds.

    Raises:
        Unavailable: It is no data folder, cannot be read, or another process has it open.
    """
    if not (path / JOURNAL_FILE).exists():
        raise Unavailable(f"{path} is no data folder: it has no {JOURNAL_FILE}")
    report = Report()
    try:
        with locked(path):
            _verify(path, report)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error
    return report


def _verify(path: Path, report: Report) -> None:
    try:
        read_identity(path)
    except (Corrupt, FileNotFoundError) as error:
        report.damages.append(str(error))
    files = BlobFiles(path / BLOBS_FOLDER)
    sound_blobs = _read_blobs(files, report)
    try:
        journal = _read_journal(path / JOURNAL_FILE, report)
    except Corrupt as error:
        report.damages.append(f"{error}; what its entries say is not known")
        return
    named = walk_index(journal, files, sound_blobs, report)
    report.orphan_count = sum(name not in named for name in sound_blobs)


def _read_blobs(files: BlobFiles, report: Report) -> dict[str, None]:
    """Read every blob; return the names of those that are sound."""
    names: dict[str, None] = {}
    for path in files.paths():
        report.blob_count += 1
        try:
            names[check_blob_file(path)] = None
        except Corrupt as error:
            report.damages.append(f"{error} ({path})")
    return names


def _read_journal(path: Path, report: Report) -> Journal:
    """Read every row of the journal's file.

    Raises:
        Corrupt: It cannot be read at all.
    """
    log = wal.look(path)
    with translated(), closing(connect_reader(path)) as connection:
        if log is not None:
            _check_log(path, log, report)
        report.damages += [f"the journal's file: {text}" for text in quick_check(connection)]
        report.damages += [f"cell {name!r} is damaged" for name in damaged_cells(connection)]
        boundary = read_boundary(connection)
        entries = dict(_read_slots(connection, boundary, report))
        report.slot_count = len(entries)
        cell = read_cell(connection, "checkpoint")
    return Journal(boundary, entries, cell)


def _check_log(path: Path, log: wal.Wal, report: Report) -> None:
    try:
        wal.check(log, wal.frames_used(path))
    except Corrupt as error:
        report.damages.append(str(error))


def _read_slots(
    connection: apsw.Connection, boundary: Slot, report: Report
) -> Iterator[tuple[Slot, Entry]]:
    """Yield the slots that are sound, and note those that are not."""
    expected = boundary
    rows = connection.execute(
        "SELECT slot, entry, crc FROM slot WHERE slot >= ? ORDER BY slot", (boundary,)
    )
    try:
        for slot, entry, crc in rows:
            if slot != expected:
                report.damages.append(f"slots {expected} to {slot - 1} are missing")
            expected = Slot(slot + 1)
            try:
                check_slot(Slot(slot), slot, entry, crc)
                yield Slot(slot), decode_entry(entry)
            except Corrupt as error:
                report.damages.append(str(error))
    except (apsw.Error, UnicodeDecodeError) as error:
        report.damages.append(f"slots from {expected} on cannot be read: {error}")
