"""The search for an order of calls, against examples and against trying all orders."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.testing.contract import linearizability
from tidings.testing.contract.linearizability import (
    Call,
    Value,
    first_breach,
    is_linearizable,
    only_if,
)


def write(data: bytes, began: int, ended: int | None) -> Call:
    return Call(f"write {data!r}", lambda _value: [data], began, ended)


def read(data: Value, began: int, ended: int | None) -> Call:
    return Call(f"read {data!r}", only_if(lambda value: value == data), began, ended)


def swap(old: Value, new: bytes, began: int, ended: int | None) -> Call:
    return Call("swap", lambda value: [new] if value == old else [], began, ended)


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [read(None, 0, 1)],
        [write(b"a", 0, 1), read(b"a", 2, 3)],
        [write(b"a", 0, 3), read(None, 1, 2), read(b"a", 4, 5)],
        [write(b"a", 0, 3), read(b"a", 1, 2)],
        [write(b"a", 0, None), read(None, 1, 2), read(b"a", 3, 4)],
        [write(b"a", 0, None), read(None, 1, 2)],
        [swap(None, b"a", 0, 5), swap(b"a", b"b", 1, 4), read(b"b", 6, 7)],
        [swap(None, b"a", 0, 1), swap(None, b"b", 2, None), read(b"a", 3, 4)],
        [write(b"a", 0, 1), write(b"a", 2, 7), write(b"b", 3, 4), read(b"a", 8, 9)],
    ],
)
def test_calls_that_an_order_explains_are_linearizable(calls: list[Call]) -> None:
    assert is_linearizable(calls)


@pytest.mark.parametrize(
    "calls",
    [
        [read(b"a", 0, 1)],
        [write(b"a", 0, 1), read(None, 2, 3)],
        [write(b"a", 2, 3), read(b"a", 0, 1)],
        [write(b"a", 0, 5), read(b"a", 1, 2), read(None, 3, 4)],
        [swap(None, b"a", 0, 3), swap(None, b"b", 1, 2)],
        [write(b"a", 0, None), read(b"a", 1, 2), read(None, 3, 4)],
        [write(b"a", 2, None), read(b"a", 0, 1)],
    ],
)
def test_calls_that_no_order_explains_are_not(calls: list[Call]) -> None:
    assert not is_linearizable(calls)


def explains(order: tuple[Call, ...]) -> bool:
    """Whether the calls can have happened in just this order."""
    value: Value = None
    for place, call in enumerate(order):
        if any(later.ended is not None and later.ended < call.began for later in order[place:]):
            return False
        values = call.transition(value)
        if not values:
            return False
        (value,) = values
    return True


def is_explained_by_some_order(calls: list[Call]) -> bool:
    answered = [call for call in calls if call.ended is not None]
    return any(
        all(any(call is done for done in order) for call in answered) and explains(order)
        for count in range(len(answered), len(calls) + 1)
        for order in permutations(calls, count)
    )


def test_breach_is_shown_up_to_the_first_answer_that_nothing_explains() -> None:
    calls = [
        read(b"a", 8, 9),
        write(b"a", 0, 1),
        swap(b"a", b"b", 2, 6),
        read(None, 3, 4),
        write(b"a", 5, 7),
    ]
    shown = [(call.began, call.ended) for call in first_breach(calls)]
    assert shown == [(0, 1), (2, None), (3, 4)]
    assert first_breach(calls[1:3]) == []


values = st.sampled_from([None, b"a", b"b"])
data = st.sampled_from([b"a", b"b"])


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    count = draw(st.integers(1, 4))
    moments = draw(st.permutations(range(2 * count)))
    calls = []
    for place in range(count):
        began, ended = sorted(moments[2 * place : 2 * place + 2])
        end = draw(st.sampled_from([ended, ended, None]))
        calls.append(
            draw(
                st.one_of(
                    st.builds(write, data, st.just(began), st.just(end)),
                    st.builds(read, values, st.just(began), st.just(end)),
                    st.builds(swap, values, data, st.just(began), st.just(end)),
                )
            )
        )
    return calls


@given(histories())
def test_search_finds_what_trying_all_orders_finds(calls: list[Call]) -> None:
    assert is_linearizable(calls) == is_explained_by_some_order(calls)


def test_search_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizability, "STEPS_MAX", 100)
    calls = [write(b"%d" % number, number, 100 + number) for number in range(20)]
    with pytest.raises(RuntimeError, match="overlap"):
        is_linearizable([*calls, read(b"never", 50, 200)])
