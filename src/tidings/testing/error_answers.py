"""Answers that carry an error code where their API has a place for one.

An answer names what its request named: `_SHAPES` says which list of a response repeats which list
of the request, and by which fields. The code stands in the innermost items.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kio.schema.errors import ErrorCode

from tidings.errors import InvalidRequest
from tidings.kafka.schema import Entity

Values = dict[str, Any]

_WHOLE = ""
"""For a field of the request's item: the item itself, which is a string."""


class _Items(NamedTuple):
    """A list in a response, and the list in the request of which it repeats each item."""

    response: str
    request: str
    fields: Mapping[str, str]
    """Fields of the request's items, and what they are called in the response's."""
    inner: "_Items | None" = None


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_BY_PARTITION = (
    _Items(
        "topics",
        "topics",
        _same("name", "topic_id"),
        _Items("partitions", "partitions", _same("partition_index")),
    ),
)

_SHAPES: dict[str, tuple[_Items, ...]] = {
    "produce": (
        _Items(
            "responses",
            "topic_data",
            _same("name", "topic_id"),
            _Items("partition_responses", "partition_data", _same("index")),
        ),
    ),
    "fetch": (
        _Items(
            "responses",
            "topics",
            _same("topic", "topic_id"),
            _Items("partitions", "partitions", {"partition": "partition_index"}),
        ),
    ),
    "list_offsets": _BY_PARTITION,
    "offset_commit": _BY_PARTITION,
    "offset_fetch": (_Items("groups", "groups", _same("group_id")),),
    "find_coordinator": (_Items("coordinators", "coordinator_keys", {_WHOLE: "key"}),),
    "join_group": (),
    "sync_group": (),
    "heartbeat": (),
    "leave_group": (),
    "init_producer_id": (),
    "create_topics": (_Items("topics", "topics", _same("name")),),
    "delete_topics": (
        _Items("responses", "topics", _same("name", "topic_id")),
        _Items("responses", "topic_names", {_WHOLE: "name"}),
    ),
}
"""What can be answered so; of anything else the connection can be cut."""


def check_answerable(module: str) -> None:
    """Raise InvalidRequest for an API that has no such answers."""
    if module not in _SHAPES:
        raise InvalidRequest(
            f"{module} cannot be answered with an error here; cut the connection, or choose one of "
            f"{', '.join(_SHAPES)}"
        )


def error_answer(module: str, request: Entity, code: ErrorCode) -> Values:
    """Return the body of a response that says nothing but this code, of everything asked for."""
    answer: Values = {}
    for items in _SHAPES[module]:
        if hasattr(request, items.request):
            answer[items.response] = _repeated(items, request, code)
    # Where a version has no such list, the code stands at the top.
    return answer or {"error_code": code}


def _repeated(items: _Items, owner: Entity, code: ErrorCode) -> list[Values]:
    return [_item(items, one, code) for one in getattr(owner, items.request) or ()]


def _item(items: _Items, asked: Entity, code: ErrorCode) -> Values:
    answer = {
        there: asked if here == _WHOLE else getattr(asked, here)
        for here, there in items.fields.items()
        if here == _WHOLE or hasattr(asked, here)
    }
    if items.inner is None:
        return {**answer, "error_code": code}
    return {**answer, items.inner.response: _repeated(items.inner, asked, code)}
