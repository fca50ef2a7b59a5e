"""A history: what clients asked, what they were told, in the order in which it was observed.

The shape is that of Jepsen's kafka workload, so that either checker can read either history:

    f        value when invoked, or unknown       value when ok
    send     [["send", key, message]]             [["send", key, [offset, message]]]
    poll     [["poll"]]                           [["poll", {key: [[offset, message], …]}]]
    txn      several of these micro-operations    the same, completed
    assign   [key, …]                             [key, …]
    crash    null                                 (always completes as info)

An operation is two events of one process: its `invoke`, then its `ok`, `fail` (certainly did not
happen) or `info` (may have happened, or may still happen).

On disk a history is JSON lines, one event a line, as `save_history` writes it, or the `history.edn`
of Jepsen and Maelstrom; either may be compressed with gzip.
"""

import contextlib
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from tidings.checker.edn import read_edn
from tidings.errors import InvalidRequest

EventType = Literal["invoke", "ok", "fail", "info"]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One line of a history."""

    index: int
    """Position in the history, from 0."""
    time: int
    """Nanoseconds since the start of the run."""
    type: EventType
    process: int | str
    """Who: a client's number (never reused after a crash), or "nemesis"."""
    f: str
    """The operation's kind: send, poll, txn, assign, crash, or a nemesis' own."""
    value: Any = None
    error: Any = None
    """Why it failed or is unknown; not judged."""
    seek_to_beginning: bool = False
    """On an assign: every assigned key is read from its start."""


LINE_BYTES_MAX = 64 * 1024 * 1024
"""The longest line that is read. A final poll of everything is one line."""


def load_history(path: str | Path) -> list[Event]:
    """Return the events in a file named .jsonl, .jsonl.gz, .edn or .edn.gz.

    Blank lines are skipped. The events' order and pairing is the judge's concern, not this one's.

    Raises:
        InvalidRequest: The file cannot be read, or a line is not an event; names file and line.
    """
    path = Path(path)
    read_line = _reader_of(path)
    events = []
    with _reading(path), _open(path, "rb") as file:
        for number, line in _lines(path, file):
            try:
                events.append(read_line(line))
            except (InvalidRequest, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as no:
                raise InvalidRequest(
                    f"{path}, line {number}: not an event of a history: {no}. Correct the line; "
                    f"if it is the last and the run was cut short, remove it."
                ) from no
    return events


def save_history(path: str | Path, events: Iterable[Event]) -> None:
    """Write the events to a file named .jsonl or .jsonl.gz, replacing it.

    Raises:
        InvalidRequest: The name ends otherwise, or the file cannot be written.
    """
    path = Path(path)
    if _format_of(path) != ".jsonl":
        raise InvalidRequest(f"{path}: a history is saved as .jsonl or .jsonl.gz; rename it")
    encoder = msgspec.json.Encoder()
    with _reading(path), _open(path, "wb") as file:
        for event in events:
            file.write(encoder.encode(event) + b"\n")


def _format_of(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _reader_of(path: Path) -> Callable[[bytes], Event]:
    match _format_of(path):
        case ".jsonl":
            return msgspec.json.Decoder(Event).decode
        case ".edn":
            return _read_edn_event
        case _:
            raise InvalidRequest(
                f"{path}: the format of a history is known by its name; "
                "rename it to end in .jsonl, .jsonl.gz, .edn or .edn.gz"
            )


def _read_edn_event(line: bytes) -> Event:
    fields = read_edn(line.decode())
    if isinstance(fields, dict):
        fields["seek_to_beginning"] = fields.get("seek-to-beginning?") is True
    return msgspec.convert(fields, Event)


def _open(path: Path, mode: Literal["rb", "wb"]) -> BinaryIO:
    if path.suffix != ".gz":
        return path.open(mode)
    # Without a time in its header the same history gives the same bytes.
    return cast("BinaryIO", gzip.GzipFile(path, mode, mtime=0))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as failed:
        raise InvalidRequest(f"{path}: cannot be read or written: {failed}") from failed


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the number and text of every line that is not blank."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise InvalidRequest(
                f"{path}, line {number}: longer than {LINE_BYTES_MAX} bytes; "
                "an event is one line, so check that this is a history"
            )
        if not line.isspace():
            yield number, line
