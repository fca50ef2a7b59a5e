"""Blobs as files, by calls that block.

    blobs/new/<number>        a blob that is being written; removed at the next start
    blobs/<2 digits>/<hash>   a blob, whole; its header says its name

    D1  A file comes under its final name only when all of it is on disk, in one step, and never in
        place of another.
    D2  A blob is stored when its folder's entry is on disk as well.

The name of a file is the SHA-256 of the blob's name: any text gives one, and the hundreds of
folders that its first two digits name stay small.
"""

import contextlib
import os
from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

from tidings.errors import Corrupt
from tidings.stores.files.layout import Header, decode_header, encode_header, header_bytes

FIRST_READ_BYTES = 4096
"""Enough for the header of a blob of ten megabytes or so; a longer one takes a second read."""

HEADER_BYTES_MAX = 16 * 1024 * 1024
"""A header that claims to be longer is damaged: it would be that of a blob of 64 GiB."""


class BlobFiles:
    """A folder of blobs. Any thread may call; every error of the disk is an `OSError`."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder; nothing is read or written yet."""
        self._folder = folder
        self._new = folder / "new"
        self._numbers = count()
        # The folders of two digits whose own entry is on disk, by name.
        self._synced: dict[str, bool] = {}

    def prepare(self) -> None:
        """Make the folder if it is not there, and remove what was left half-written.

        Raises:
            OSError: It cannot be made, or be used.
        """
        self._new.mkdir(parents=True, exist_ok=True)
        _sync_folder(self._folder.parent)
        for leftover in self._new.iterdir():
            leftover.unlink()

    def path(self, name: str) -> Path:
        """Return where the blob of that name is, or would be."""
        digest = sha256(name.encode()).hexdigest()
        return self._folder / digest[:2] / digest

    def put(self, name: str, data: bytes) -> None:
        """Store a blob, on disk when this returns; does nothing more if it is there.

        Raises:
            OSError: It is not known to be on disk; it is not there in part.
        """
        path = self.path(name)
        # Whoever found it there already cannot know whether its folder's entry is on disk (D2).
        if not path.exists():
            self._store(path, encode_header(name, data), data)
        _sync_folder(path.parent)
        if path.parent.name not in self._synced:
            _sync_folder(self._folder)
            self._synced[path.parent.name] = True

    def _store(self, path: Path, header: bytes, data: bytes) -> None:
        new = self._new / str(next(self._numbers))
        if path.parent.name not in self._synced:
            # Now, so that syncing the file takes it along to the disk.
            path.parent.mkdir(exist_ok=True)
        try:
            _write_file(new, header, data)
            with contextlib.suppress(FileExistsError):
                os.link(new, path)
        finally:
            new.unlink(missing_ok=True)

    def get(self, name: str) -> bytes | None:
        """Return a blob's bytes, checked; None if there is no such blob.

        Raises:
            Corrupt: They are not those that were put.
            OSError: They cannot be read.
        """
        return self._read(name, 0, None)

    def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """Return a part of a blob's bytes, checked; None if there is no such blob.

        Raises:
            Corrupt: They are not those that were put.
            OSError: They cannot be read.
        """
        return self._read(name, position, size_bytes)

    def _read(self, name: str, position: int, size_bytes: int | None) -> bytes | None:
        try:
            file = os.open(self.path(name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            header = _read_header(file, f"blob {name}")
            if header.name != name:
                raise Corrupt(f"blob {name} is damaged: its file holds blob {header.name}")
            wanted = header.data_bytes if size_bytes is None else size_bytes
            start, end = header.blocks(position, wanted)
            data = _read_exactly(file, end - start, header.data_position + start, f"blob {name}")
        finally:
            os.close(file)
        header.check(start, data)
        if size_bytes is None:
            return data
        return data[position - start : position - start + size_bytes] if data else b""

    def delete(self, name: str) -> None:
        """Remove a blob, for good when this returns; there may be none.

        Raises:
            OSError: It may be there still, or come back.
        """
        path = self.path(name)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def paths(self) -> Iterator[Path]:
        """Yield the files of all blobs, in an order that is always the same."""
        for shard in sorted(self._folder.iterdir() if self._folder.exists() else ()):
            if shard != self._new and shard.is_dir():
                yield from sorted(shard.iterdir())


def check_blob_file(path: Path) -> str:
    """Read a whole file and return the name of the blob that it holds.

    Raises:
        Corrupt: It is damaged, or not where it belongs.
        OSError: It cannot be read.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        header = _read_header(file, f"the blob in {path.name}")
        data = _read_exactly(file, header.data_bytes, header.data_position, f"blob {header.name}")
    finally:
        os.close(file)
    header.check(0, data)
    if sha256(header.name.encode()).hexdigest() != path.name:
        raise Corrupt(f"blob {header.name} is in {path.name}, where it does not belong")
    return header.name


def _read_header(file: int, what: str) -> Header:
    start = os.pread(file, FIRST_READ_BYTES, 0)
    size = header_bytes(start)
    if not 0 < size <= HEADER_BYTES_MAX:
        raise Corrupt(f"{what} is damaged: it does not begin like a blob")
    if size > len(start):
        start = os.pread(file, size, 0)
    header = decode_header(start[:size])
    if header is None:
        raise Corrupt(f"{what} is damaged: its header fails its checksum")
    held = os.fstat(file).st_size
    if held != header.file_bytes:
        raise Corrupt(f"{what} is damaged: its file has {held} bytes, not {header.file_bytes}")
    return header


def _read_exactly(file: int, size_bytes: int, position: int, what: str) -> bytes:
    data = os.pread(file, size_bytes, position)
    if len(data) < size_bytes:
        # One read of Linux gives at most two gigabytes; nobody stores such a blob.
        raise Corrupt(f"{what} is damaged: it ends {size_bytes - len(data)} bytes early")
    return data


def _write_file(path: Path, *parts: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        left = [memoryview(part) for part in parts if part]
        while left:
            written = os.writev(file, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]
        os.fdatasync(file)
    finally:
        os.close(file)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
