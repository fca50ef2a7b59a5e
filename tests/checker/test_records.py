"""Each anomaly of records: a history that has it and nothing else, and near misses."""

import pytest
from recorded import Recorded, names_of, only_anomaly, proof, sent

from tidings.checker.kafka import check
from tidings.types import Json


def test_offset_with_two_messages_is_inconsistent_offsets() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=0)
    history.send(1, "k", 2, ends="info")
    history.poll(8, {"k": [(0, 1)]})
    poll = history.poll(9, {"k": [(0, 2)]})
    divergence = only_anomaly(history, "inconsistent-offsets")
    assert divergence.event_indexes == [send, poll]
    assert (divergence.key, divergence.offsets, divergence.messages) == ("k", [0], [1, 2])
    assert divergence.sentence == 'offset 0 of key "k" was seen to hold message 1 and message 2'


def test_offset_with_a_message_each_in_two_keys_is_consistent() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(0, "j", 2, at=0)
    history.poll(9, {"k": [(0, 1)], "j": [(0, 2)]})
    assert names_of(history) == []


def test_offset_of_an_unknown_send_that_nobody_polled_proves_nothing() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(1, "k", 2, at=0, ends="info")
    history.poll(9, {"k": [(0, 1)]})
    assert names_of(history) == []


def test_message_at_two_offsets_is_duplicate() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=0)
    history.poll(8, {"k": [(0, 1)]})
    poll = history.poll(9, {"k": [(1, 1)]})
    duplicate = only_anomaly(history, "duplicate")
    assert duplicate.event_indexes == [send, poll]
    assert (duplicate.offsets, duplicate.messages) == ([0, 1], [1])


def test_message_that_shares_one_of_its_two_offsets_is_duplicate() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(1, "k", 2, at=1)
    history.poll(8, {"k": [(0, 1), (1, 2)]})
    history.poll(9, {"k": [(0, 2)]})
    assert names_of(history) == ["duplicate", "inconsistent-offsets"]


def test_message_at_two_offsets_of_two_keys_is_no_duplicate() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(0, "j", 1, at=1)
    history.poll(9, {"k": [(0, 1)], "j": [(1, 1)]})
    assert names_of(history) == []


def test_message_below_the_highest_polled_that_nobody_polled_is_lost_write() -> None:
    history = Recorded()
    txn = history.txn(0, sent("k", 1, 0), sent("k", 2, 1), ends="info")
    history.send(3, "k", 9, at=2)
    poll = history.poll(8, {"k": [(1, 2), (2, 9)]})
    lost = only_anomaly(history, "lost-write")
    assert lost.event_indexes == [txn, poll]
    assert (lost.key, lost.offsets, lost.messages) == ("k", [0, 2], [1, 9])


def test_acknowledged_message_that_was_lost_is_unseen_as_well() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=0)
    history.send(0, "k", 2, at=1)
    poll = history.poll(8, {"k": [(1, 2)]})
    verdict = check(history.events)
    assert verdict.bad == ["lost-write", "unseen"]
    assert proof(verdict, "lost-write") == [send, poll]
    assert proof(verdict, "unseen") == [send]


@pytest.mark.parametrize("ends", ["info", "fail"])
def test_message_that_may_not_have_been_written_is_no_lost_write(ends: Json) -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0, ends=ends)
    history.send(1, "k", 2, at=1)
    history.poll(8, {"k": [(1, 2)]})
    assert names_of(history) == []


def test_message_above_the_highest_polled_is_unseen_but_not_lost() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    send = history.send(0, "k", 2, at=1)
    history.poll(8, {"k": [(0, 1)]})
    unseen = only_anomaly(history, "unseen")
    assert unseen.event_indexes == [send]
    assert (unseen.key, unseen.offsets, unseen.messages) == ("k", [1], [2])


@pytest.mark.parametrize("ends", ["info", "fail"])
def test_message_that_was_not_acknowledged_is_not_unseen(ends: Json) -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(0, "k", 2, ends=ends)
    history.poll(8, {"k": [(0, 1)]})
    assert names_of(history) == []


def test_message_that_only_an_unknown_poll_returned_is_unseen() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=0)
    history.poll(8, {"k": [(0, 1)]}, ends="info")
    assert only_anomaly(history, "unseen").event_indexes == [send]


def test_message_polled_before_its_send_was_acknowledged_is_not_unseen() -> None:
    history = Recorded()
    history.invoke(0, "send", [["send", "k", 1]])
    history.poll(8, {"k": [(0, 1)]})
    history.complete(0, [["send", "k", [0, 1]]])
    assert names_of(history) == []


def test_last_operations_poll_of_a_key_without_acknowledged_sends_is_unseen_as_in_jepsen() -> None:
    history = Recorded()
    history.send(0, "k", 1, ends="info")
    poll = history.poll(8, {"k": [(0, 1)]})
    assert only_anomaly(history, "unseen").event_indexes == [poll]
    history.poll(8, {})
    assert names_of(history) == []


def test_failed_sends_offset_proves_nothing() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=5, ends="fail")
    history.send(0, "k", 2, at=1)
    history.poll(8, {"k": [(0, 1), (1, 2)]})
    assert names_of(history) == ["G1a"]


@pytest.mark.parametrize("ends", ["info", "fail"])
def test_message_that_only_an_unknown_poll_placed_is_no_lost_write(ends: Json) -> None:
    history = Recorded()
    history.send(0, "k", 1, ends=ends)
    history.send(1, "k", 2, at=1)
    history.poll(8, {"k": [(0, 1)]}, ends="info")
    history.poll(9, {"k": [(1, 2)]})
    assert names_of(history) == []


def test_message_that_stands_again_above_the_highest_polled_is_no_lost_write() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(1, "k", 2, at=1)
    history.poll(7, {"k": [(2, 1)]}, ends="info")
    history.poll(8, {"k": [(1, 2)]})
    assert names_of(history) == ["duplicate", "unseen"]


def test_message_polled_at_two_offsets_reaches_only_the_first() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(1, "k", 2, at=1)
    history.poll(8, {"k": [(0, 1)]})
    history.poll(9, {"k": [(2, 1)]})
    assert names_of(history) == ["duplicate", "unseen"]
