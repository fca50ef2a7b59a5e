"""A look at SQLite's write-ahead log before SQLite opens it.

SQLite takes the first frame that fails its checksum for the end of the log. After a loss of power
that is right: the last transaction was torn, and nobody was told that it was done. But where
several transactions come after that frame, each was begun only when the one before was synced.
Then the frame was damaged later, and acknowledged entries would be dropped silently.

    header  32 bytes: magic, version, page size, checkpoint number, salt (8), checksum (8)
    frame   24 bytes: page number, size of the file after a commit or 0, salt (8 bytes), checksum;
            then the page

Frames of an older use of the log carry another salt.
"""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidings.errors import Corrupt

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24

_MAGIC_LITTLE, _MAGIC_BIG = 0x377F0682, 0x377F0683
"""They say in which byte order the checksums were made."""

TORN_COMMITS_MAX = 1
"""The last transaction may have been torn; none before it can have been."""


@dataclass(frozen=True, slots=True)
class Wal:
    """What the log says by itself."""

    has_frames: bool
    has_header: bool
    """Whether the header passes its checksum."""
    commits: list[int]
    """The numbers, from 1, of the frames that end a transaction and carry the header's salt."""


def look(path: Path) -> Wal | None:
    """Look at the log beside the file `path`; return None if there is none."""
    log = path.with_name(path.name + "-wal")
    try:
        with log.open("rb") as file:
            header = file.read(HEADER_BYTES)
            if len(header) < HEADER_BYTES:
                return None
            page_bytes = struct.unpack_from(">I", header, 8)[0]
            has_frames = log.stat().st_size >= HEADER_BYTES + FRAME_HEADER_BYTES + 512
            if not _passes(header):
                return Wal(has_frames, has_header=False, commits=[])
            frames = _frame_headers(log, page_bytes)
            salt = header[16:24]
            commits = [
                number
                for number, frame in enumerate(frames, 1)
                if frame[8:16] == salt and frame[4:8] != b"\0\0\0\0"
            ]
            return Wal(has_frames, has_header=True, commits=commits)
    except FileNotFoundError:
        return None


def _frame_headers(log: Path, page_bytes: int) -> Iterator[bytes]:
    with log.open("rb") as file:
        position = HEADER_BYTES
        while True:
            file.seek(position)
            header = file.read(FRAME_HEADER_BYTES)
            if len(header) < FRAME_HEADER_BYTES:
                return
            yield header
            position += FRAME_HEADER_BYTES + page_bytes


def _passes(header: bytes) -> bool:
    (magic,) = struct.unpack_from(">I", header)
    if magic not in {_MAGIC_LITTLE, _MAGIC_BIG}:
        return False
    words = struct.unpack_from(f"{'<' if magic == _MAGIC_LITTLE else '>'}6I", header)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFF_FFFF
        second = (second + odd + first) & 0xFFFF_FFFF
    return struct.unpack_from(">2I", header, 24) == (first, second)


def frames_used(path: Path) -> int:
    """Return how many frames SQLite takes for the log, once a connection has read from the file.

    The header of the index that SQLite keeps beside the log says so, in the machine's byte order.
    """
    with path.with_name(path.name + "-shm").open("rb") as index:
        index.seek(_FRAMES_POSITION)
        return int.from_bytes(index.read(4), sys.byteorder)


_FRAMES_POSITION = 16


def check(log: Wal, frames: int) -> None:
    """Check that SQLite, which took the first `frames` frames for the log, left none out.

    Raises:
        Corrupt: It did: transactions that were acknowledged are in frames that it cannot read.
    """
    if not log.has_header:
        if log.has_frames:
            raise Corrupt("the write-ahead log of the journal is damaged in its header")
        return
    lost = [number for number in log.commits if number > frames]
    if len(lost) > TORN_COMMITS_MAX:
        raise Corrupt(
            f"the write-ahead log of the journal is damaged near frame {frames + 1}:"
            f" {len(lost)} transactions come after it"
        )
