"""Packs messages into a report: compressed, in parts that a browser unpacks when it draws them.

A report holds `PACKED_BYTES_MAX` at most. When there are more, the parts around anomalies come
first, then those around faults, then the beginning, then as many of the others as fit, evenly.

Each part is base64 of gzip of JSON: a list of [sent, arrived, sender, receiver, body], times in
microseconds since the start, arrived null if it was lost, names as indexes into a list.
"""

import gzip
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tidings.types import Json
from tidings.workbench.message_log import LoggedMessage
from tidings.workbench.network import BETWEEN_NODES
from tidings.workbench.report.series import Bins

PART_MESSAGES: Final = 1000
PACKED_BYTES_MAX: Final = 4 * 2**20
BODY_CHARS_MAX: Final = 4000
"""Of a longer body only so much is shown."""

_COMPRESSION: Final = 6


class Part(msgspec.Struct, kw_only=True):
    """Messages that were sent one after the other."""

    begin_us: int
    end_us: int
    count: int
    data: str | None = None
    """None if it did not fit."""


class Packed(msgspec.Struct, kw_only=True):
    """All messages of a run."""

    names: list[str]
    """Senders and receivers."""
    parts: list[Part]
    kept: int
    total: int


def pack(messages: Sequence[LoggedMessage], windows_s: Sequence[tuple[float, float]]) -> Packed:
    """Pack messages that are sorted by the time at which they were sent.

    Args:
        messages: All of them.
        windows_s: The times that matter most, the most important first.
    """
    slices = [
        messages[start : start + PART_MESSAGES] for start in range(0, len(messages), PART_MESSAGES)
    ]
    names: dict[str, int] = {}
    parts = [
        Part(
            begin_us=piece[0].sent // 1000,
            end_us=max(piece[-1].sent, piece[0].sent) // 1000,
            count=len(piece),
        )
        for piece in slices
    ]
    left, kept = PACKED_BYTES_MAX, 0
    for place in _by_importance(parts, windows_s):
        data = _pack_part(slices[place], names)
        if len(data) <= left:
            left -= len(data)
            kept += len(slices[place])
            parts[place].data = data
        else:
            break
    return Packed(names=list(names), parts=parts, kept=kept, total=len(messages))


def _by_importance(parts: Sequence[Part], windows_s: Sequence[tuple[float, float]]) -> list[int]:
    chosen: dict[int, None] = {}
    for begin_s, end_s in windows_s:
        for place, part in enumerate(parts):
            if part.begin_us <= end_s * 1e6 and part.end_us >= begin_s * 1e6:
                chosen[place] = None
    # Every 16th, then every 8th, and so on, until all are there.
    for stride in (16, 8, 4, 2, 1):
        chosen.update(dict.fromkeys(range(0, len(parts), stride)))
    return list(chosen)


def _pack_part(messages: Sequence[LoggedMessage], names: dict[str, int]) -> str:
    rows: list[Json] = [
        [
            message.sent // 1000,
            None if message.arrived is None else message.arrived // 1000,
            names.setdefault(message.src, len(names)),
            names.setdefault(message.dest, len(names)),
            _body(message.body),
        ]
        for message in messages
    ]
    packed = gzip.compress(msgspec.json.encode(rows), _COMPRESSION, mtime=0)
    return b64encode(packed).decode()


def _body(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode(errors="replace")
    return text if len(text) <= BODY_CHARS_MAX else text[:BODY_CHARS_MAX] + "…"


def message_rates(messages: Iterable[LoggedMessage], bins: Bins) -> dict[str, list[float]]:
    """Return messages a second by who is involved: clients, nodes, each service; and those lost."""
    found: dict[str, list[float]] = {}
    for message in messages:
        if message.sent < 0:
            continue
        for name in (peer_of(message), *(["lost"] if message.arrived is None else [])):
            counts = found.setdefault(name, bins.zeros())
            counts[bins.place(message.sent)] += 1 / bins.width_s
    return dict(sorted(found.items()))


def peer_of(message: LoggedMessage) -> str:
    """Return under which name a message is counted."""
    ends = (message.src, message.dest)
    if any(is_client(end) for end in ends):
        return "clients"
    return next((end for end in ends if not is_node(end)), BETWEEN_NODES)


def is_client(name: str) -> bool:
    """Whether that is a client's name: c and a number."""
    return name[:1] == "c" and name[1:].isdecimal()


def is_node(name: str) -> bool:
    """Whether that is a node's name: n and a number."""
    return name[:1] == "n" and name[1:].isdecimal()
