"""A disk that SQLite reaches through here, and that can be told to fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

# ruff: noqa: N802 - SQLite's names, by which apsw calls these methods

NAME = "failing disk"


class FailingDisk(apsw.VFS):
    """What fails is set at any time: `full` refuses writes, `sync` fails to sync."""

    def __init__(self) -> None:
        super().__init__(NAME, "")
        # "", "full" or "sync".
        self.mood = ""

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FailingFile":
        return FailingFile(self, name, flags)


class FailingFile(apsw.VFSFile):
    def __init__(
        self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.mood == "full":
            raise apsw.FullError("as the test says")
        if self._disk.mood == "broken":
            raise apsw.IOError("as the test says")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self._disk.mood == "sync":
            error = apsw.IOError("as the test says")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined] # see apsw
            raise error
        super().xSync(flags)


@contextmanager
def failing_disk() -> Iterator[FailingDisk]:
    """Yield a disk that SQLite knows as `NAME` meanwhile."""
    disk = FailingDisk()
    try:
        yield disk
    finally:
        disk.unregister()
