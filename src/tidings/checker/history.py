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
"""

from typing import Any, Literal

import msgspec

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
