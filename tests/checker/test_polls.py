"""Each anomaly of polls: a history that has it and nothing else, and near misses that do not."""

import pytest
from recorded import Recorded, names_of, only_anomaly, proof, sent

from tidings.checker.kafka import check
from tidings.types import Json


def only_or_unseen(history: Recorded, name: str) -> list[int]:
    """Return the proof of an anomaly that may stand beside `unseen`.

    Jepsen counts what the very last operation polls from a key that nobody was acknowledged to have
    sent to as unseen.
    """
    verdict = check(history.events)
    assert [other for other in verdict.anomalies if other != "unseen"] == [name]
    return proof(verdict, name)


def log_of_three() -> tuple[Recorded, list[int]]:
    """Messages 1, 2, 3 at offsets 0, 1, 2 of key k, which process 9 has polled; and their sends."""
    history = Recorded()
    sends = [history.send(0, "k", offset + 1, at=offset) for offset in range(3)]
    history.poll(9, {"k": [(0, 1), (1, 2), (2, 3)]})
    return history, sends


def test_poll_over_a_known_record_is_int_poll_skip() -> None:
    history, sends = log_of_three()
    poll = history.poll(1, {"k": [(0, 1), (2, 3)]})
    skip = only_anomaly(history, "int-poll-skip")
    assert skip.event_indexes == [poll, sends[1]]
    assert (skip.key, skip.offsets, skip.messages) == ("k", [1], [2])
    assert skip.sentence == (
        'process 1 polled key "k" at offset 0 and next at 2: offset 1 (message 2) was skipped'
    )


def test_poll_over_an_offset_that_nobody_saw_is_no_skip() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(0, "k", 2, at=7)
    history.poll(1, {"k": [(0, 1), (7, 2)]})
    assert names_of(history) == []


def test_poll_over_records_of_several_polls_in_one_txn_is_int_poll_skip() -> None:
    history, sends = log_of_three()
    txn = history.txn(1, ["poll", {"k": [[0, 1]]}], ["poll", {"k": [[2, 3]]}])
    assert only_anomaly(history, "int-poll-skip").event_indexes == [txn, sends[1]]


def test_skip_of_many_records_lists_a_few_in_its_sentence() -> None:
    history = Recorded()
    for offset in range(100):
        history.send(0, "k", offset, at=offset)
    history.poll(9, {"k": [(offset, offset) for offset in range(100)]})
    history.poll(1, {"k": [(0, 0), (99, 99)]})
    skip = only_anomaly(history, "int-poll-skip")
    assert skip.sentence.endswith("offset 3 (message 3), 95 more were skipped")
    assert skip.offsets == list(range(1, 33))


def test_poll_that_goes_back_is_int_nonmonotonic_poll() -> None:
    history, sends = log_of_three()
    poll = history.poll(1, {"k": [(1, 2), (0, 1)]})
    back = only_anomaly(history, "int-nonmonotonic-poll")
    assert back.event_indexes == [poll, sends[1], sends[0]]
    assert (back.offsets, back.messages) == ([1, 0], [2, 1])


def test_poll_of_the_same_record_twice_is_int_nonmonotonic_poll() -> None:
    history, sends = log_of_three()
    poll = history.poll(1, {"k": [(1, 2), (1, 2)]})
    back = only_anomaly(history, "int-nonmonotonic-poll")
    assert back.event_indexes == [poll, sends[1]]
    assert back.sentence.endswith("which is the same in the log")


def test_poll_of_a_record_without_a_known_offset_is_no_step_back() -> None:
    history, _ = log_of_three()
    history.send(2, "k", 4, ends="info")
    history.poll(1, {"k": [(1, 2), (-1, 4)]})
    assert names_of(history) == []


def test_poll_that_misses_a_record_since_the_last_poll_is_poll_skip() -> None:
    history, sends = log_of_three()
    first = history.poll(1, {"k": [(0, 1)]})
    second = history.poll(1, {"k": [(2, 3)]})
    skip = only_anomaly(history, "poll-skip")
    assert skip.event_indexes == [first, second, sends[1]]
    assert (skip.offsets, skip.messages) == ([1], [2])


def test_poll_by_another_process_is_no_poll_skip() -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.poll(2, {"k": [(2, 3)]})
    assert names_of(history) == []


@pytest.mark.parametrize("ends", ["ok", "info"])
def test_poll_after_the_key_was_given_up_is_no_poll_skip(ends: Json) -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.assign(1, "other", ends=ends)
    history.assign(1, "k")
    history.poll(1, {"k": [(2, 3)]})
    assert names_of(history) == []


@pytest.mark.parametrize(("keys", "ends"), [(["other"], "fail"), (["other", "k"], "ok")])
def test_poll_after_the_key_was_kept_is_poll_skip(keys: list[str], ends: Json) -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.assign(1, *keys, ends=ends)
    history.poll(1, {"k": [(2, 3)]})
    assert names_of(history) == ["poll-skip"]


def test_poll_after_an_unknown_poll_goes_on_from_the_one_before() -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.poll(1, {"k": [(1, 2)]}, ends="info")
    history.poll(1, {"k": [(1, 2)]})
    assert names_of(history) == []


def test_poll_that_names_the_key_but_returns_nothing_forgets_it() -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.poll(1, {"k": []})
    history.poll(1, {"k": [(2, 3)]})
    assert names_of(history) == []


def test_poll_of_what_was_polled_before_is_nonmonotonic_poll() -> None:
    history, sends = log_of_three()
    first = history.poll(1, {"k": [(0, 1), (1, 2)]})
    second = history.poll(1, {"k": [(1, 2)]})
    back = only_anomaly(history, "nonmonotonic-poll")
    assert back.event_indexes == [first, second, sends[1]]


def test_poll_that_goes_on_is_not_nonmonotonic_poll() -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.poll(1, {})
    history.poll(1, {"k": [(1, 2), (2, 3)]})
    assert names_of(history) == []


@pytest.mark.parametrize("again", [[(0, 1)], [(2, 3)]])
def test_subscribers_may_skip_and_go_back_between_polls(again: Json) -> None:
    history, _ = log_of_three()
    history.poll(1, {"k": [(0, 1)]})
    history.poll(1, {"k": again})
    verdict = check(history.events, sub_via=["subscribe"])
    assert len(verdict.anomalies) == 1
    assert verdict.valid
    assert not check(history.events).valid


def test_poll_of_a_failed_send_is_g1a() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, ends="fail")
    poll = history.poll(1, {"k": [(0, 1)]})
    assert only_or_unseen(history, "G1a") == [send, poll]


@pytest.mark.parametrize(("send_ends", "poll_ends"), [("info", "ok"), ("fail", "info")])
def test_poll_of_an_unknown_send_or_by_an_unknown_poll_is_not_g1a(
    send_ends: Json, poll_ends: Json
) -> None:
    history, _ = log_of_three()
    history.send(0, "k", 4, ends=send_ends)
    history.poll(1, {"k": [(3, 4)]}, ends=poll_ends)
    assert names_of(history) == []


def test_poll_in_the_txn_that_sent_is_precommitted_read() -> None:
    history = Recorded()
    txn = history.txn(1, sent("k", 1, 0), ["poll", {"k": [[0, 1]]}])
    own = only_anomaly(history, "precommitted-read")
    assert own.event_indexes == [txn]
    assert (own.key, own.offsets, own.messages) == ("k", [0], [1])


def test_poll_in_the_next_txn_of_the_same_process_is_no_precommitted_read() -> None:
    history = Recorded()
    history.txn(1, sent("k", 1, 0), ["poll", {}])
    history.txn(1, sent("k", 2, 1), ["poll", {"k": [[0, 1]]}])
    history.poll(2, {"k": [(0, 1), (1, 2)]})
    assert names_of(history) == []


@pytest.mark.parametrize("message", ["1", 1.0, True, None, [1], {"a": [1]}, 2])
def test_poll_of_what_nobody_sent_is_phantom(message: Json) -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.poll(9, {"k": [(0, 1)]})
    poll = history.poll(1, {"k": [(1, message)]})
    phantom = only_anomaly(history, "phantom")
    assert phantom.event_indexes == [poll]
    assert phantom.offsets == [1]
    assert phantom.messages == [message]
    assert type(phantom.messages[0]) is type(message)


def test_poll_of_another_keys_message_is_phantom() -> None:
    history, _ = log_of_three()
    poll = history.poll(1, {"other": [(0, 1)]})
    assert only_or_unseen(history, "phantom") == [poll]


@pytest.mark.parametrize("message", ["1", 1.5, True, None, [1, 2], {"b": 1, "a": [2]}])
def test_message_of_any_json_that_was_sent_is_no_phantom(message: Json) -> None:
    history = Recorded()
    history.send(0, "k", message, at=0)
    history.poll(1, {"k": [(0, message)]})
    assert names_of(history) == []


def test_message_whose_fields_come_in_another_order_is_no_phantom() -> None:
    history = Recorded()
    history.send(0, "k", {"b": 1, "a": 2}, at=0)
    history.poll(1, {"k": [(0, {"a": 2, "b": 1})]})
    assert names_of(history) == []


def test_poll_of_a_send_that_never_completed_is_no_phantom() -> None:
    history, _ = log_of_three()
    history.invoke(5, "send", [["send", "k", 4]])
    history.poll(1, {"k": [(3, 4)]})
    assert names_of(history) == []
