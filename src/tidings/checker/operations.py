"""Turns a history's events into operations: what was asked, how it ended, what it sent and polled.

Everything that a strange history can hold is refused here, so that the judges need not look again.
A message may be any JSON value; one that cannot be hashed is represented by its JSON text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import msgspec

from tidings.checker.history import Event, EventType
from tidings.errors import InvalidRequest
from tidings.types import Json


class Composite(NamedTuple):
    """A message that is neither an integer nor a string, by its JSON text: equal if that is."""

    text: str


Message: TypeAlias = int | str | Composite
"""A message in a form that can be compared and hashed: JSON's 1, 1.0, "1" and true differ."""


UNKNOWN_OFFSET = -1


@dataclass(slots=True)
class Batch:
    """What one operation sent to, or polled from, one key, in order; the two lists are parallel."""

    offsets: list[int] = field(default_factory=list)
    """`UNKNOWN_OFFSET` where the client was told none, or a negative one, which is no place."""
    messages: list[Message] = field(default_factory=list)

    def highest_offset(self) -> int:
        """Return the highest offset that is known, `UNKNOWN_OFFSET` if none is."""
        return max(self.offsets, default=UNKNOWN_OFFSET)

    def offset_of(self, message: Message) -> list[int]:
        """Return the offset of a message that is in here, or nothing if it is unknown."""
        offset = self.offsets[self.messages.index(message)]
        return [] if offset == UNKNOWN_OFFSET else [offset]


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of one client."""

    invocation: Event
    completion: Event
    """Its last event; the invocation itself if it never ended."""
    invoked_at: int
    """The invocation's place in the history."""
    completed_at: int
    """The completion's place; beyond the history's end if it never ended."""
    type: EventType
    """How it ended: ok, fail, or info, also if it never ended."""
    process: int
    f: str
    sends: dict[str, Batch] = field(default_factory=dict)
    """What it sent, by key, whether or not that took effect."""
    polls: dict[str, Batch] = field(default_factory=dict)
    """What it polled, by key; a key may come with nothing."""
    assigned: dict[str, None] = field(default_factory=dict)
    """The keys of an assign or subscribe."""


TRANSFERS = ("send", "poll", "txn")
"""The kinds of operations that move messages."""

_SEQUENCES = (list, tuple)
_SUBSCRIPTIONS = ("assign", "subscribe")


def read_operations(history: Sequence[Event]) -> list[Operation]:
    """Return the clients' operations in the order in which they completed, the unfinished last.

    Events of a process that is not a number (the nemesis) are passed over.

    Raises:
        InvalidRequest: Events out of order or without their other half, or values of a shape that
            cannot be judged; names the event.
    """
    operations = []
    open_at: dict[int, int] = {}
    last_index = -1
    for position, event in enumerate(history):
        if event.index <= last_index:
            raise InvalidRequest(
                f"event {event.index} comes after event {last_index}: indexes must ascend, each "
                "once; sort the history by index and remove repeated events"
            )
        last_index = event.index
        if not isinstance(event.process, int):
            continue
        if event.type == "invoke":
            if event.process in open_at:
                raise _refuse(event, "its process has not completed its last operation")
            open_at[event.process] = position
        else:
            invoked_at = open_at.pop(event.process, None)
            if invoked_at is None:
                raise _refuse(event, "its process has invoked nothing that this could complete")
            operations.append(_complete(history, invoked_at, position))
    for unfinished, invoked_at in enumerate(open_at.values()):
        operations.append(_leave_open(history[invoked_at], invoked_at, len(history) + unfinished))
    return operations


def describe(message: Message) -> str:
    """Return a message as JSON text, for a sentence."""
    text = message.text if isinstance(message, Composite) else msgspec.json.encode(message).decode()
    return text if len(text) <= 40 else text[:37] + "…"


def plain(message: Message) -> Json:
    """Return a message as the JSON value it was."""
    return msgspec.json.decode(message.text) if isinstance(message, Composite) else message


def _complete(history: Sequence[Event], invoked_at: int, completed_at: int) -> Operation:
    invocation, completion = history[invoked_at], history[completed_at]
    if invocation.f != completion.f:
        raise _refuse(completion, f"its process invoked {invocation.f!r} before")
    assert isinstance(completion.process, int), "operations are those of clients"
    operation = Operation(
        invocation=invocation,
        completion=completion,
        invoked_at=invoked_at,
        completed_at=completed_at,
        type=completion.type,
        process=completion.process,
        f=completion.f,
    )
    _read_value(operation, completion if completion.value is not None else invocation)
    return operation


def _leave_open(invocation: Event, invoked_at: int, completed_at: int) -> Operation:
    assert isinstance(invocation.process, int), "operations are those of clients"
    operation = Operation(
        invocation=invocation,
        completion=invocation,
        invoked_at=invoked_at,
        completed_at=completed_at,
        type="info",
        process=invocation.process,
        f=invocation.f,
    )
    _read_value(operation, invocation)
    return operation


def _read_value(operation: Operation, event: Event) -> None:
    """Fill in what was sent, polled or assigned, as `event` has it."""
    if operation.f in TRANSFERS:
        for micro_operation in _read_list(event, event.value, "micro-operations"):
            _read_micro_operation(operation, event, micro_operation)
    elif operation.f in _SUBSCRIPTIONS:
        keys = _read_list(event, event.value, "keys")
        operation.assigned = {_read_key(event, key): None for key in keys}


def _read_micro_operation(operation: Operation, event: Event, micro_operation: Json) -> None:
    f = operation.f
    match micro_operation:
        case ["poll", dict() as polled] if f != "send":
            for key, records in polled.items():
                batch = operation.polls.setdefault(_read_key(event, key), Batch())
                _read_records(event, key, records, batch)
        case ["send", key, payload] if f != "poll":
            batch = operation.sends.setdefault(_read_key(event, key), Batch())
            offset, message = _read_payload(event, payload)
            batch.offsets.append(offset)
            batch.messages.append(message)
        case ["poll"] | ["poll", None] if f != "send":
            pass
        case _:
            raise _refuse(
                event,
                f"{_abridge(micro_operation)} is no part of a {f}; expected "
                '["send", key, message], ["send", key, [offset, message]], ["poll"] or '
                '["poll", {key: [[offset, message], …]}]',
            )


def _read_payload(event: Event, payload: Json) -> tuple[int, Message]:
    """Read the third part of a send: [offset, message], or before it is known the message alone."""
    if isinstance(payload, _SEQUENCES) and len(payload) == 2:
        offset, message = payload
        if event.type == "ok" or (event.type != "invoke" and _may_be_offset(offset)):
            return _read_offset(event, offset), _read_message(event, message)
    if event.type == "ok":
        raise _refuse(event, f"{_abridge(payload)} is not [offset, message]")
    return UNKNOWN_OFFSET, _read_message(event, payload)


def _read_records(event: Event, key: Json, records: Json, batch: Batch) -> None:
    for record in _read_list(event, records, "records"):
        if not isinstance(record, _SEQUENCES) or len(record) != 2:
            raise _refuse(
                event, f"{_abridge(record)} in key {_abridge(key)} is not [offset, message]"
            )
        offset, message = record
        # The common case is spelled out: a history holds many more records than events.
        if type(offset) is not int or offset < 0:
            offset = _read_offset(event, offset)
        if type(message) is not int:
            message = _read_message(event, message)
        batch.offsets.append(offset)
        batch.messages.append(message)


def _may_be_offset(value: Json) -> bool:
    return value is None or type(value) is int


def _read_offset(event: Event, offset: Json) -> int:
    if not _may_be_offset(offset):
        raise _refuse(event, f"the offset {_abridge(offset)} is not an integer")
    return offset if offset is not None and offset >= 0 else UNKNOWN_OFFSET


def _read_message(event: Event, message: Json) -> Message:
    if type(message) is int or type(message) is str:
        return message
    try:
        return Composite(msgspec.json.encode(message, order="deterministic").decode())
    except (TypeError, ValueError, OverflowError, RecursionError) as no:
        raise _refuse(event, f"a message cannot be expressed in JSON: {no}") from no


def _read_key(event: Event, key: Json) -> str:
    # Jepsen's own keys are integers; JSON's object names can only be strings.
    if type(key) is int:
        return str(key)
    if type(key) is not str:
        raise _refuse(event, f"the key {_abridge(key)} is neither a string nor an integer")
    return key


def _read_list(event: Event, value: Json, of_what: str) -> Sequence[Json]:
    if not isinstance(value, _SEQUENCES):
        raise _refuse(event, f"expected a list of {of_what}, not {_abridge(value)}")
    return value


def _abridge(value: Json) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "(a value nested too deeply to show)"
    return text if len(text) <= 80 else text[:79] + "…"


def _refuse(event: Event, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"event {event.index} (process {event.process}, {event.type} {event.f}) cannot be judged: "
        f"{what}; correct the recorded event or what records it"
    )
