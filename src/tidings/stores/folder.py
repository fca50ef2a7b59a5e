"""The data folder of a broker: what is where, whose it is, and who has it open.

    tidings.json           the version of this layout, and the cluster's id; written once
    lock                   locked by the process that has the folder open, whose id it holds
    journal.sqlite         the order store, `tidings.stores.sqlite`; beside it SQLite's -wal, -shm
    blobs/                 the blob store: `tidings.stores.files`

The lock is the kernel's: it ends with the process, however that ends, and cannot be left behind.
"""

import base64
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from tidings.errors import Corrupt, InvalidRequest, Unavailable
from tidings.stores.files import FileBlobStore
from tidings.stores.sqlite import SqliteOrderStore

IDENTITY_FILE = "tidings.json"
LOCK_FILE = "lock"
JOURNAL_FILE = "journal.sqlite"
BLOBS_FOLDER = "blobs"

FORMAT_VERSION = 1

CLUSTER_ID_BYTES = 16


class Identity(msgspec.Struct, frozen=True):
    """What `tidings.json` says."""

    format: int
    cluster_id: str
    """22 characters, as Kafka's: 16 random bytes in base64 for URLs."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An open data folder."""

    path: Path
    order: SqliteOrderStore
    blobs: FileBlobStore
    cluster_id: str


@asynccontextmanager
async def open_folder(path: Path, rng: Random) -> AsyncIterator[Folder]:
    """Open a data folder, or make one, with a cluster id drawn from `rng`; close it in the end.

    Opening blocks the event loop for some milliseconds: do it before anything is served.

    Raises:
        Unavailable: Another process has it open, or it cannot be used; the text says which.
        InvalidRequest: It is a folder of something else.
        Corrupt: It is damaged, or of a later version.
    """
    async with contextlib.AsyncExitStack() as stack:
        yield _open(path, rng, stack)


def _open(path: Path, rng: Random, stack: contextlib.AsyncExitStack) -> Folder:
    """Open everything; `stack` closes it in the opposite order, the lock last of all."""
    try:
        stack.enter_context(locked(path))
        identity = _read_or_make_identity(path, rng)
        order = SqliteOrderStore(path / JOURNAL_FILE)
        stack.push_async_callback(order.close)
        blobs = FileBlobStore(path / BLOBS_FOLDER)
        stack.push_async_callback(blobs.close)
    except OSError as error:
        raise Unavailable(f"the data folder {path} cannot be used: {error}") from error
    return Folder(path, order, blobs, identity.cluster_id)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have the folder to oneself; makes it if it is not there.

    Raises:
        Unavailable: Another process has it open.
        OSError: It cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    file = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(file, path)
        yield
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
        raise Unavailable(
            f"the data folder {path} is in use by process {holder}:"
            " stop that one, or choose another folder"
        ) from None
    os.ftruncate(file, 0)
    os.pwrite(file, b"%d\n" % os.getpid(), 0)


def read_identity(path: Path) -> Identity:
    """Return what a data folder says of itself.

    Raises:
        FileNotFoundError: It says nothing.
        Corrupt: It is damaged, or of a later version.
    """
    data = (path / IDENTITY_FILE).read_bytes()
    try:
        identity = msgspec.json.decode(data, type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"{path / IDENTITY_FILE} is damaged: {error}") from error
    if identity.format != FORMAT_VERSION:
        raise Corrupt(
            f"the data folder {path} has layout {identity.format};"
            f" this version knows {FORMAT_VERSION}: use a newer Tidings"
        )
    return identity


def _read_or_make_identity(path: Path, rng: Random) -> Identity:
    with contextlib.suppress(FileNotFoundError):
        return read_identity(path)
    if (path / JOURNAL_FILE).exists():
        raise Corrupt(f"the data folder {path} has lost {IDENTITY_FILE}; restore it from a backup")
    strangers = sorted(item.name for item in path.iterdir() if item.name not in _OWN_NAMES)
    if strangers:
        raise InvalidRequest(
            f"{path} holds {strangers[0]}, which is nothing of Tidings: choose an empty folder"
        )
    cluster_id = base64.urlsafe_b64encode(rng.randbytes(CLUSTER_ID_BYTES)).decode().rstrip("=")
    identity = Identity(format=FORMAT_VERSION, cluster_id=cluster_id)
    _write_whole(path / IDENTITY_FILE, msgspec.json.encode(identity) + b"\n")
    return identity


_OWN_NAMES = (LOCK_FILE, BLOBS_FOLDER, f"{IDENTITY_FILE}.new", "lost+found")


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, whenever the process ends."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
