"""Histories that cannot be judged are refused with what is wrong and where."""

from typing import Any

import msgspec
import pytest
from recorded import Recorded, names_of

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.checker.operations import read_operations
from tidings.errors import InvalidRequest
from tidings.types import Json


def completed(f: str, asked: Json, answered: Json, ends: Any = "ok") -> Recorded:
    history = Recorded()
    history.invoke(3, f, asked)
    history.complete(3, answered, ends=ends)
    return history


@pytest.mark.parametrize(
    ("polled", "complaint"),
    [
        ([["poll", {"k": [["0", 1]]}]], "the offset '0' is not an integer"),
        ([["poll", {"k": [[0.0, 1]]}]], "the offset 0.0 is not an integer"),
        ([["poll", {"k": [[True, 1]]}]], "the offset True is not an integer"),
        ([["poll", {"k": [[[0], 1]]}]], r"the offset \[0\] is not an integer"),
        ([["poll", {"k": [[0]]}]], r"\[0\] in key 'k' is not \[offset, message\]"),
        ([["poll", {"k": [[0, 1, 2]]}]], r"is not \[offset, message\]"),
        ([["poll", {"k": [{"offset": 0, "message": 1}]}]], r"is not \[offset, message\]"),
        ([["poll", {"k": ["ab"]}]], r"'ab' in key 'k' is not \[offset, message\]"),
        ([["poll", {"k": None}]], "expected a list of records, not None"),
        ([["poll", {"k": {"0": 1}}]], "expected a list of records"),
        ([["poll", {None: []}]], "the key None is neither a string nor an integer"),
        ([["poll", [["k", 0, 1]]]], "is no part of a poll"),
        ([["poll", {}, {}]], "is no part of a poll"),
        ([["send", "k", [0, 1]]], "is no part of a poll"),
        (["poll"], "'poll' is no part of a poll"),
        ([[]], r"\[\] is no part of a poll"),
        ("poll", "expected a list of micro-operations, not 'poll'"),
        (7, "expected a list of micro-operations, not 7"),
    ],
)
def test_poll_of_a_shape_that_cannot_be_judged_is_refused(polled: Json, complaint: str) -> None:
    history = completed("poll", [["poll"]], polled)
    with pytest.raises(InvalidRequest, match=complaint) as refused:
        check(history.events)
    assert str(refused.value).startswith("event 1 (process 3, ok poll) cannot be judged: ")


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ([["send", "k", 1]], r"1 is not \[offset, message\]"),
        ([["send", "k", [1, 2, 3]]], r"\[1, 2, 3\] is not \[offset, message\]"),
        ([["send", "k", ["0", 1]]], "the offset '0' is not an integer"),
        ([["send", "k"]], "is no part of a send"),
        ([["poll", {}]], "is no part of a send"),
        ([["send", ["k"], [0, 1]]], r"the key \['k'\] is neither a string nor an integer"),
    ],
)
def test_send_of_a_shape_that_cannot_be_judged_is_refused(sent: Json, complaint: str) -> None:
    history = completed("send", [["send", "k", 1]], sent)
    with pytest.raises(InvalidRequest, match=complaint):
        check(history.events)


def test_assign_of_something_other_than_keys_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="expected a list of keys, not 'k'"):
        check(completed("assign", "k", "k").events)


def nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("message", [nested(100_000), {(1, 2): 3}, object()], ids=type)
def test_message_that_json_cannot_express_is_refused(message: Json) -> None:
    history = completed("poll", [["poll"]], [["poll", {"k": [[0, message]]}]])
    with pytest.raises(InvalidRequest, match="a message cannot be expressed in JSON"):
        check(history.events)


def test_value_nested_too_deeply_to_show_is_refused() -> None:
    history = completed("poll", [["poll"]], [["poll", {"k": [nested(100_000)]}]])
    with pytest.raises(InvalidRequest, match="nested too deeply to show"):
        check(history.events)


@pytest.mark.parametrize("index", [0, 1])
def test_event_index_that_does_not_ascend_is_refused(index: int) -> None:
    history = completed("poll", [["poll"]], [["poll", {}]])
    repeated = msgspec.structs.replace(history.events[0], index=index)
    with pytest.raises(InvalidRequest, match=f"event {index} comes after event 1: indexes must"):
        check([*history.events, repeated])


def test_completion_without_invocation_is_refused() -> None:
    history = completed("poll", [["poll"]], [["poll", {}]])
    with pytest.raises(InvalidRequest, match=r"event 1 .* has invoked nothing"):
        check(history.events[1:])


def test_second_invocation_of_a_busy_process_is_refused() -> None:
    history = Recorded()
    history.invoke(3, "poll", [["poll"]])
    history.invoke(3, "poll", [["poll"]])
    with pytest.raises(InvalidRequest, match=r"event 1 .* has not completed its last operation"):
        check(history.events)


def test_completion_of_another_kind_than_was_invoked_is_refused() -> None:
    history = Recorded()
    history.invoke(3, "poll", [["poll"]])
    history.events.append(Event(index=1, time=1, type="ok", process=3, f="send", value=[]))
    with pytest.raises(InvalidRequest, match=r"event 1 .* invoked 'poll' before"):
        check(history.events)


def test_nemesis_events_need_no_pair_and_no_shape() -> None:
    events = [
        Event(index=index, time=0, type="info", process="nemesis", f="poll", value=7)
        for index in range(3)
    ]
    assert check(events).valid
    assert read_operations(events) == []


def test_operation_that_never_completed_ends_as_info() -> None:
    history = Recorded()
    history.invoke(0, "send", [["send", "k", 1]])
    history.invoke(1, "poll", [["poll"]])
    history.invoke(2, "assign", ["k"])
    operations = read_operations(history.events)
    assert [operation.type for operation in operations] == ["info"] * 3
    assert [operation.completed_at for operation in operations] == [3, 4, 5]
    assert check(history.events).valid


def test_completion_without_value_takes_its_invocations() -> None:
    history = Recorded()
    history.invoke(0, "send", [["send", "k", 1]])
    history.events.append(Event(index=1, time=1, type="fail", process=0, f="send"))
    (operation,) = read_operations(history.events)
    assert operation.sends["k"].messages == [1]


def test_integer_keys_and_tuples_are_read_as_strings_and_lists() -> None:
    history = Recorded()
    history.invoke(0, "send", (("send", 7, 1),))
    history.complete(0, (("send", 7, (0, 1)),))
    history.poll(1, {"7": [(0, 1)]})
    assert names_of(history) == []


@pytest.mark.parametrize("ends", ["info", "fail"])
def test_send_of_unknown_outcome_may_carry_its_offset(ends: Any) -> None:
    history = completed("send", [["send", "k", 1]], [["send", "k", [4, 1]]], ends)
    (operation,) = read_operations(history.events)
    assert (operation.sends["k"].offsets, operation.sends["k"].messages) == ([4], [1])


def test_messages_that_differ_in_json_differ() -> None:
    history = Recorded()
    messages = [1, "1", 1.0, True, None, [1], {"a": 1}, "true", "[1]"]
    for offset, message in enumerate(messages):
        history.send(0, "k", message, at=offset)
    history.poll(1, {"k": list(enumerate(messages))})
    assert names_of(history) == []
