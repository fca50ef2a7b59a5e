"""The services that Maelstrom offers to nodes: lin-kv, seq-kv, lww-kv and lin-tso.

Pure: a service is called with a request's sender and body and returns the body of the reply. It
knows nothing of messages, latency or processes.

Keys and values are any JSON and are compared as JSON values of the same kind: neither `true` nor
`1.0` is `1`, and an object's order does not matter. Where Maelstrom answers a malformed request
with silence, these answer with its error 12 (or 10 for an unknown type). A missing `from` is null,
as it is there.

Source: Maelstrom's service.clj and doc/services.md.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple, Protocol

import msgspec

from tidings.types import Json

Body = dict[str, Json]
"""The `body` of a Maelstrom message."""

NOT_SUPPORTED: Final = 10
MALFORMED_REQUEST: Final = 12
KEY_DOES_NOT_EXIST: Final = 20
PRECONDITION_FAILED: Final = 22

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Absent:
    """Stands for the value of a key that does not exist; null is a value."""


_ABSENT: Final = _Absent()


class Service(Protocol):
    """Answers requests, each at once and each as a whole."""

    def handle(self, client: str, body: Body) -> Body:
        """Return the body of the reply to `client`, without `in_reply_to`."""


class _Refused(Exception):
    """The request gets an error; carries Maelstrom's code and a text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def body(self) -> Body:
        return {"type": "error", "code": self.code, "text": self.text}


def _name(key: Json) -> str:
    """Return a string that is the same for equal keys only.

    A string names itself; any other JSON is named by its text behind a NUL, and a string that
    begins with a NUL is treated like any other JSON.
    """
    if type(key) is str and key[:1] != "\0":
        return key
    return "\0" + _encode(key).decode()


def _is_same(a: Json, b: Json) -> bool:
    if type(a) is not type(b) or a != b:
        return False
    return not isinstance(a, list | dict) or _encode(a) == _encode(b)


def _field(body: Body, name: str) -> Json:
    try:
        return body[name]
    except KeyError:
        raise _Refused(
            MALFORMED_REQUEST, f"a {body.get('type')} request needs the field {name!r}"
        ) from None


def _creates(body: Body) -> bool:
    wanted = body.get("create_if_not_exists")
    if wanted is None or isinstance(wanted, bool):
        return bool(wanted)
    raise _Refused(MALFORMED_REQUEST, "create_if_not_exists must be true or false")


class _Answer(NamedTuple):
    """What a request does to the value of its key, and what it is told."""

    body: Body
    new_value: Json = _ABSENT
    """The value that the key gets; `_ABSENT` when the request changes nothing."""


def _read(body: Body, value: Json) -> _Answer:
    del body
    if value is _ABSENT:
        raise _Refused(KEY_DOES_NOT_EXIST, "key does not exist")
    return _Answer({"type": "read_ok", "value": value})


def _write(body: Body, value: Json) -> _Answer:
    del value
    return _Answer({"type": "write_ok"}, _field(body, "value"))


def _cas(body: Body, value: Json) -> _Answer:
    new_value, expected = _field(body, "to"), body.get("from")
    creates = _creates(body)
    if value is _ABSENT and not creates:
        raise _Refused(KEY_DOES_NOT_EXIST, "key does not exist")
    if value is not _ABSENT and not _is_same(value, expected):
        found, wanted = _encode(value).decode(), _encode(expected).decode()
        raise _Refused(PRECONDITION_FAILED, f"current value {found} is not {wanted}")
    return _Answer({"type": "cas_ok"}, new_value)


def _cas_existing(body: Body, value: Json) -> _Answer:
    return _cas({**body, "create_if_not_exists": False}, value)


_Operation = Callable[[Body, Json], _Answer]
_OPERATIONS: Final[dict[str, _Operation]] = {"read": _read, "write": _write, "cas": _cas}
_LWW_OPERATIONS: Final[dict[str, _Operation]] = {**_OPERATIONS, "cas": _cas_existing}


def _operation(body: Body, operations: dict[str, _Operation]) -> _Operation:
    kind = body.get("type")
    operation = operations.get(kind) if isinstance(kind, str) else None
    if operation is None:
        raise _Refused(NOT_SUPPORTED, f"the type must be one of {', '.join(operations)}")
    return operation


class LinKV:
    """A linearizable store: one copy, each request on its newest state."""

    def __init__(self) -> None:
        self._values: dict[str, Json] = {}

    def handle(self, client: str, body: Body) -> Body:
        """Answer a read, write or cas."""
        del client
        try:
            operation = _operation(body, _OPERATIONS)
            name = _name(_field(body, "key"))
            answer = operation(body, self._values.get(name, _ABSENT))
        except _Refused as refused:
            return refused.body()
        if answer.new_value is not _ABSENT:
            self._values[name] = answer.new_value
        return answer.body


class SeqKV:
    """A sequentially consistent store: stale, but no client goes back in time.

    The last `states_max` states are kept. A request runs on one of them, chosen at random from the
    one this client saw last (or the oldest kept) up to, but not including, the newest; on the
    newest only if that is the one the client saw last. So a client that only reads never sees the
    newest change of another until there is a further one. A request that would change the state
    it was run on is run again on the newest, which makes a new state, even when that run changes
    nothing. A request that fails on a stale state has failed.

    Maelstrom lets a client that is more than 32 states behind go back within the last 32; this one
    does not.
    """

    # A state is a number. A key's versions are (first state that has it, value), ascending; a
    # version is dropped once no kept state can see it.

    def __init__(self, rng: Random, states_max: int = 32) -> None:
        self._random = rng.random
        self._states_max = states_max
        self._newest = 0
        self._seen: dict[str, int] = {}
        self._versions: dict[str, list[tuple[int, Json]]] = {}
        self._recent: deque[tuple[int, str]] = deque()

    def handle(self, client: str, body: Body) -> Body:
        """Answer a read, write or cas of `client`."""
        state = self._choose_state(client)
        try:
            operation = _operation(body, _OPERATIONS)
            name = _name(_field(body, "key"))
            value = self._value_at(state, name)
            answer = operation(body, value)
        except _Refused as refused:
            self._seen[client] = state
            return refused.body()
        if answer.new_value is _ABSENT or _is_same(answer.new_value, value):
            self._seen[client] = state
            return answer.body
        return self._change(client, name, operation, body)

    def _choose_state(self, client: str) -> int:
        oldest = max(self._seen.get(client, 0), self._newest - self._states_max + 1)
        return oldest + int(self._random() * (self._newest - oldest))

    def _value_at(self, state: int, name: str) -> Json:
        versions = self._versions.get(name)
        if versions is None:
            return _ABSENT
        if versions[-1][0] <= state:
            return versions[-1][1]
        place = bisect_right(versions, state, key=_first_state)
        return versions[place - 1][1] if place else _ABSENT

    def _change(self, client: str, name: str, operation: _Operation, body: Body) -> Body:
        value = self._value_at(self._newest, name)
        self._newest += 1
        self._seen[client] = self._newest
        try:
            answer = operation(body, value)
        except _Refused as refused:
            return refused.body()
        finally:
            self._forget()
        if not _is_same(answer.new_value, value):
            self._versions.setdefault(name, []).append((self._newest, answer.new_value))
            self._recent.append((self._newest, name))
        return answer.body

    def _forget(self) -> None:
        """Drop the versions that were overwritten at or before the oldest kept state."""
        oldest = self._newest - self._states_max + 1
        while self._recent and self._recent[0][0] <= oldest:
            state, name = self._recent.popleft()
            versions = self._versions[name]
            while versions[0][0] < state:
                del versions[0]


def _first_state(version: tuple[int, Json]) -> int:
    return version[0]


class _Stamped(NamedTuple):
    timestamp: int
    value: Json


class _Replica:
    """One copy of lww-kv: a Lamport clock and stamped values."""

    def __init__(self) -> None:
        self.clock = 0
        self.values: dict[str, _Stamped] = {}


class LwwKV:
    """An eventually consistent store: two replicas, the last write by Lamport clock wins.

    Before each request one replica, chosen at random, is merged into another, chosen at random
    (often itself); the request then runs on a third choice. `cas` never creates a key.
    """

    def __init__(self, rng: Random) -> None:
        self._choose = rng.choice
        self._replicas = (_Replica(), _Replica())
        # Keys in which the replicas may differ, in the order of their change (a dict as a set).
        self._differing: dict[str, None] = {}

    def handle(self, client: str, body: Body) -> Body:
        """Answer a read, write or cas."""
        del client
        self._merge(self._choose(self._replicas), self._choose(self._replicas))
        replica = self._choose(self._replicas)
        try:
            operation = _operation(body, _LWW_OPERATIONS)
            name = _name(_field(body, "key"))
            stamped = replica.values.get(name)
            answer = operation(body, _ABSENT if stamped is None else stamped.value)
        except _Refused as refused:
            return refused.body()
        if answer.new_value is not _ABSENT:
            replica.values[name] = _Stamped(replica.clock, answer.new_value)
            replica.clock += 1
            self._differing[name] = None
        return answer.body

    def _merge(self, source: _Replica, target: _Replica) -> None:
        """Bring `target` up to `source`; of equal timestamps the source's value stays."""
        if source is target:
            return
        target.clock = max(target.clock, source.clock)
        still_differing: dict[str, None] = {}
        for name in self._differing:
            theirs, ours = source.values.get(name), target.values.get(name)
            if theirs is None or (ours is not None and ours.timestamp > theirs.timestamp):
                still_differing[name] = None
            else:
                target.values[name] = theirs
        self._differing = still_differing


class LinTSO:
    """A source of timestamps: 0, 1, 2, … each given out once."""

    def __init__(self) -> None:
        self._next = 0

    def handle(self, client: str, body: Body) -> Body:
        """Answer a ts request."""
        del client
        if body.get("type") != "ts":
            return _Refused(NOT_SUPPORTED, "the type must be ts").body()
        timestamp = self._next
        self._next += 1
        return {"type": "ts_ok", "ts": timestamp}
