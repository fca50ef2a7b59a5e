"""Each anomaly of sends: a history that has it and nothing else, and near misses that do not."""

import pytest
from recorded import Polled, Recorded, names_of, only_anomaly, proof, sent

from tidings.checker.kafka import check
from tidings.types import Json

ALL_THREE: Polled = {"k": [(0, 1), (1, 2), (2, 3)]}


def test_sends_of_one_txn_with_another_record_in_between_are_int_send_skip() -> None:
    history = Recorded()
    other = history.send(0, "k", 2, at=1)
    txn = history.txn(1, sent("k", 1, 0), sent("k", 3, 2))
    history.poll(9, ALL_THREE)
    verdict = check(history.events)
    assert verdict.anomaly_counts == {"int-send-skip": 1}
    assert proof(verdict, "int-send-skip") == [txn, other]
    assert verdict.valid, "transactions may interleave"


def test_sends_of_one_txn_side_by_side_are_no_int_send_skip() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.txn(1, sent("k", 2, 1), sent("k", 3, 2))
    history.poll(9, ALL_THREE)
    assert names_of(history) == []


def test_sends_of_one_txn_in_reverse_are_int_nonmonotonic_send() -> None:
    history = Recorded()
    txn = history.txn(1, sent("k", 1, 1), sent("k", 2, 0))
    history.poll(9, {"k": [(0, 2), (1, 1)]})
    back = only_anomaly(history, "int-nonmonotonic-send")
    assert back.event_indexes == [txn]
    assert back.offsets == [1, 0]
    assert back.sentence == (
        'process 1 sent to key "k": offset 1 (message 1), then offset 0 (message 2), '
        "which comes before it in the log"
    )


def test_sends_of_one_txn_in_reverse_on_two_keys_are_no_int_nonmonotonic_send() -> None:
    history = Recorded()
    history.txn(1, sent("k", 1, 1), sent("j", 2, 0))
    history.send(2, "k", 3, at=0)
    history.poll(9, {"k": [(0, 3), (1, 1)], "j": [(0, 2)]})
    assert names_of(history) == []


@pytest.mark.parametrize("ends", ["ok", "info"])
def test_send_that_lands_before_the_processs_last_is_nonmonotonic_send(ends: Json) -> None:
    history = Recorded()
    first = history.send(1, "k", 1, at=1)
    second = history.send(1, "k", 2, at=0, ends=ends)
    history.poll(9, {"k": [(0, 2), (1, 1)]})
    assert only_anomaly(history, "nonmonotonic-send").event_indexes == [first, second]


def test_send_of_unknown_offset_is_placed_by_the_poll_that_saw_it() -> None:
    history = Recorded()
    first = history.send(1, "k", 1, at=1)
    second = history.send(1, "k", 2, ends="info")
    poll = history.poll(9, {"k": [(0, 2), (1, 1)]})
    assert only_anomaly(history, "nonmonotonic-send").event_indexes == [first, second, poll]


def test_send_that_leaves_others_records_in_between_is_no_nonmonotonic_send() -> None:
    history = Recorded()
    history.send(1, "k", 1, at=0)
    history.send(2, "k", 2, at=1)
    history.send(1, "k", 3, at=2)
    history.poll(9, ALL_THREE)
    assert names_of(history) == []


def test_send_after_the_key_was_given_up_is_no_nonmonotonic_send() -> None:
    history = Recorded()
    history.send(1, "k", 1, at=1)
    history.assign(1, "other")
    history.send(1, "k", 2, at=0)
    history.poll(9, {"k": [(0, 2), (1, 1)]})
    assert names_of(history) == []


def test_failed_send_does_not_move_the_process() -> None:
    history = Recorded()
    history.send(1, "k", 1, at=0)
    history.send(1, "k", 2, ends="fail")
    history.poll(8, {"k": [(7, 2)]}, ends="info")
    history.send(1, "k", 3, at=1)
    history.poll(9, {"k": [(0, 1), (1, 3)]})
    assert names_of(history) == []


def test_send_that_lands_where_the_last_did_is_nonmonotonic_send() -> None:
    history = Recorded()
    sends = [history.send(1, "k", 1, at=0) for _ in range(2)]
    history.poll(9, {"k": [(0, 1)]})
    assert only_anomaly(history, "nonmonotonic-send").event_indexes == sends


def test_send_is_compared_with_the_last_of_several_in_a_txn() -> None:
    history = Recorded()
    txn = history.txn(1, sent("k", 1, 0), sent("k", 2, 2))
    send = history.send(1, "k", 3, at=1)
    history.poll(9, {"k": [(0, 1), (1, 3), (2, 2)]})
    verdict = check(history.events)
    assert verdict.bad == ["nonmonotonic-send"]
    assert proof(verdict, "nonmonotonic-send") == [txn, send]
