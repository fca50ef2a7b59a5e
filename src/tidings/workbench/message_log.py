"""Every message of a run, written to a file as its fate is known.

One JSON object a line, compressed with gzip:

    {"id": 7, "sent": 1200345000, "arrived": 1210345000, "src": "n1", "dest": "n0", "body": {…}}

Times are nanoseconds since the start of the operations; what was sent before has negative ones.
`arrived` is null for a message that was lost, or still under way at the end. Lines stand in the
order of arrivals. The file is bounded: of messages beyond `MESSAGES_MAX` nothing is kept.
"""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tidings.errors import InvalidRequest
from tidings.workbench.network import Message

MESSAGES: Final = "messages.jsonl.gz"
"""The file inside the store."""

MESSAGES_MAX: Final = 5_000_000
"""How many messages are kept of one run."""

_COMPRESSION: Final = 1
_BATCH_MESSAGES: Final = 512


class LoggedMessage(msgspec.Struct, kw_only=True, gc=False):
    """One line of the file."""

    id: int
    sent: int
    arrived: int | None = None
    src: str
    dest: str
    body: msgspec.Raw


class MessageLog:
    """A `Tap` that writes the file."""

    def __init__(self, path: Path, now_s: Callable[[], float]) -> None:
        self._file = gzip.open(path, "wb", compresslevel=_COMPRESSION)  # noqa: SIM115 - see close
        self._now_s = now_s
        self._encode = msgspec.json.Encoder().encode
        self._origin_ns: int | None = None
        self._under_way: dict[int, LoggedMessage] = {}
        self._settled: list[LoggedMessage] = []
        self._count = 0

    def begin(self) -> None:
        """Count times from now on."""
        self._origin_ns = self._now_ns()

    def sent(self, message: Message) -> int:
        """Take a message that is sent; return a number for it."""
        self._count += 1
        if self._count <= MESSAGES_MAX:
            self._under_way[self._count] = LoggedMessage(
                id=self._count,
                sent=self._now_ns(),
                src=message.src,
                dest=message.dest,
                body=message.body,
            )
        return self._count

    def arrived(self, number: int) -> None:
        """Write a message that has reached its receiver."""
        message = self._under_way.pop(number, None)
        if message is not None:
            message.arrived = self._now_ns()
            self._settle(message)

    def lost(self, number: int) -> None:
        """Write a message that never will."""
        message = self._under_way.pop(number, None)
        if message is not None:
            self._settle(message)

    def close(self) -> None:
        """Write the rest."""
        self._settled += self._under_way.values()
        self._under_way.clear()
        self._write()
        self._file.close()

    def _now_ns(self) -> int:
        return round(self._now_s() * 1e9)

    def _settle(self, message: LoggedMessage) -> None:
        self._settled.append(message)
        if len(self._settled) >= _BATCH_MESSAGES and self._origin_ns is not None:
            self._write()

    def _write(self) -> None:
        origin_ns = self._origin_ns or 0
        for message in self._settled:
            message.sent -= origin_ns
            if message.arrived is not None:
                message.arrived -= origin_ns
        self._file.write(b"".join(self._encode(message) + b"\n" for message in self._settled))
        self._settled.clear()


def read_messages(path: Path) -> Iterator[LoggedMessage]:
    """Yield the messages of a file.

    Raises:
        InvalidRequest: It cannot be read, or a line is no message.
    """
    decode = msgspec.json.Decoder(LoggedMessage).decode
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                yield decode(line)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise InvalidRequest(
            f"{path}: no messages can be read from it: {error}. It is made anew by every run."
        ) from error
