"""The order of a log: dense over gaps, and one message for each offset, as Jepsen picks it."""

import pytest

from tidings.checker.operations import Batch, Message
from tidings.checker.version_order import Log, VersionOrder, order_log


def order_of(*batches: list[tuple[int, Message]]) -> VersionOrder:
    log = Log()
    for event_index, batch in enumerate(batches):
        log.learn(Batch([offset for offset, _ in batch], [m for _, m in batch]), event_index)
    return order_log(log)


def test_ranks_leave_out_gaps_and_unknown_offsets() -> None:
    order = order_of([(5, 50), (-1, 99)], [(2, 20), (1_000_000_000_000, 7)])
    assert order.offsets == [2, 5, 1_000_000_000_000]
    assert order.messages == [20, 50, 7]
    assert order.rank_of == {20: 0, 50: 1, 7: 2}
    assert [order.delta(20, later) for later in (20, 50, 7)] == [0, 1, 2]
    assert order.delta(7, 20) == -2


def test_delta_of_an_unknown_place_is_one() -> None:
    order = order_of([(0, 1)])
    assert [order.delta(1, 99), order.delta(99, 1), order.delta(None, 1)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("messages", "first"),
    # Clojure prints (set (range 10)) as #{0 7 1 4 6 3 2 9 5 8}.
    [((1, 2), 1), ((2, 3), 3), ((3, 2, 1), 1), ((9, 2), 2), ((8, 5, 9), 9), ((4, 7, 6), 7)],
)
def test_the_first_message_in_a_clojure_set_stands_for_an_offset(
    messages: tuple[int, ...], first: int
) -> None:
    for ordered in (messages, messages[::-1]):
        batches: list[list[tuple[int, Message]]] = [[(0, message)] for message in ordered]
        order = order_of(*batches)
        assert order.messages == [first]
        assert list(order.records()) == [(0, message) for message in ordered]


def test_witness_is_the_event_that_showed_the_record_first() -> None:
    order = order_of([(0, 1)], [(0, 1), (1, 2)], [(1, 3)], [(1, 3)])
    assert order.log.messages_at(0) == {1: 0}
    assert order.log.messages_at(1) == {2: 1, 3: 2}
    assert order.witness(0) == 0
    assert order.witness(1) == {2: 1, 3: 2}[int(str(order.messages[1]))]


def test_message_at_two_offsets_stands_at_the_last() -> None:
    order = order_of([(0, 1), (1, 2), (2, 1)])
    assert order.rank_of == {1: 2, 2: 1}
