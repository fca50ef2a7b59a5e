"""A short run of `make chaos`, and whether its judge sees what can go wrong."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from chaos_history import NEMESIS, Recorder
from chaos_judge import judge
from chaos_load import Load
from chaos_run import Chaos, Settings

from tidings.checker.history import load_history
from tidings.types import Json

Line = tuple[str, int | str, str, Json]


@pytest.mark.real
@pytest.mark.parametrize("small_pages", [False, True], ids=["as shipped", "small pages"])
def test_chaos_broker_that_is_killed_five_times_loses_and_repeats_nothing(
    tmp_path: Path, small_pages: bool
) -> None:
    said: list[str] = []
    settings = Settings(
        kills=5,
        folder=tmp_path,
        load=Load(seed=1, rate=40, producers=1),
        work_s=0.5,
        small_pages=small_pages,
    )
    judgement = Chaos(settings, said.append).run()
    assert judgement.is_valid, "\n".join(said)
    assert judgement.verdict.tallies["send"].ok > 20
    assert load_history(tmp_path / "history.jsonl.gz") == judgement.history


def findings(lines: Sequence[Line]) -> list[str]:
    """Return the first words of what is wrong with a history."""
    recorder = Recorder(now_ns=lambda: 0)
    for type_, process, f, value in lines:
        assert type_ in ("invoke", "ok", "fail", "info")
        recorder.note(type_, process, f, value)  # type: ignore[arg-type]  # mypy forgets it
    judgement = judge(recorder.events())
    return [*judgement.verdict.bad, *(text.partition(":")[0] for text in judgement.findings)]


def sent(process: int, key: str, message: int, offset: int) -> list[Line]:
    return [
        ("invoke", process, "send", [["send", key, message]]),
        ("ok", process, "send", [["send", key, [offset, message]]]),
    ]


def polled(process: int, key: str, *records: tuple[int, int]) -> list[Line]:
    return [
        ("invoke", process, "poll", [["poll"]]),
        ("ok", process, "poll", [["poll", {key: [list(record) for record in records]}]]),
    ]


def killed() -> Line:
    return ("info", NEMESIS, "kill", "at work")


def committed(process: int, key: str, offset: int, outcome: str = "ok") -> list[Line]:
    return [
        ("invoke", process, "commit", {key: offset}),
        (outcome, process, "commit", {key: offset}),
    ]


def told(process: int, key: str, offset: int) -> list[Line]:
    return [
        ("invoke", process, "committed", {key: 0}),
        ("ok", process, "committed", {key: offset}),
    ]


def subscribed(process: int, key: str) -> list[Line]:
    return [("invoke", process, "subscribe", [key]), ("ok", process, "subscribe", [key])]


SENT = [line for message in range(3) for line in sent(message, "once/0", message, message)]


def test_judge_history_in_which_all_is_well_is_valid() -> None:
    read = subscribed(7, "once/0") + polled(7, "once/0", (0, 0), (1, 1), (2, 2))
    again = subscribed(8, "once/0") + polled(8, "once/0", (2, 2))
    commits = committed(7, "once/0", 2) + told(9, "once/0", 2)
    assert findings([*SENT, *read, *commits, *again, killed()]) == []


def test_judge_acknowledged_record_that_is_not_there_is_lost() -> None:
    assert findings([*SENT, *polled(7, "once/0", (0, 0), (2, 2))]) == [
        "int-poll-skip",
        "lost-write",
        "unseen",
    ]


def test_judge_offset_that_is_used_again_is_found() -> None:
    anew = [*sent(4, "once/0", 9, 2), *polled(7, "once/0", (0, 0), (1, 1), (2, 9))]
    assert "inconsistent-offsets" in findings([*SENT, *anew])


@pytest.mark.parametrize("topic", ["idempotent/0", "once/0"])
def test_judge_record_that_is_there_twice_is_a_duplicate(topic: str) -> None:
    begin, end = sent(1, topic, 5, 1)
    lines = [begin, killed(), end, *polled(7, topic, (0, 5), (1, 5))]
    assert "duplicate" in findings(lines)


def test_judge_copy_that_a_kill_explains_is_no_duplicate() -> None:
    begin, end = sent(1, "retrying/0", 5, 1)
    assert findings([begin, killed(), end, *polled(7, "retrying/0", (0, 5), (1, 5))]) == []


def test_judge_copy_that_no_kill_explains_is_found() -> None:
    lines = [*sent(1, "retrying/0", 5, 1), killed(), *polled(7, "retrying/0", (0, 5), (1, 5))]
    assert findings(lines) == ["copies"]


def test_judge_record_that_comes_at_another_offset_later_is_found() -> None:
    begin, end = sent(1, "retrying/0", 5, 1)
    polls = [*polled(7, "retrying/0", (0, 5), (1, 5)), *polled(8, "retrying/0", (0, 6), (1, 5))]
    lines = [*sent(2, "retrying/0", 6, 2), begin, killed(), end, *polls]
    assert "inconsistent-offsets" in findings(lines)


@pytest.mark.parametrize("topic", ["idempotent/0", "retrying/0"])
def test_judge_send_without_an_answer_is_found_where_the_producer_never_gives_up(
    topic: str,
) -> None:
    begin, _ = sent(1, topic, 5, 1)
    assert findings([begin, ("info", 1, "send", begin[3])]) == ["unanswered"]
    assert findings([begin]) == ["unanswered"]


def test_judge_send_without_an_answer_may_happen_to_who_tries_once() -> None:
    begin, _ = sent(1, "once/0", 5, 1)
    assert findings([begin, ("info", 1, "send", begin[3])]) == []


def test_judge_committed_offset_that_went_back_is_found() -> None:
    assert findings([*committed(1, "k", 2), *told(2, "k", 1)]) == ["committed offset"]
    assert findings([*committed(1, "k", 2), *told(2, "k", 2), *told(3, "k", 0)]) == [
        "committed offset"
    ]


def test_judge_committed_offset_that_nobody_asked_for_is_found() -> None:
    assert findings([*committed(1, "k", 2), *told(2, "k", 3)]) == ["committed offset"]


def test_judge_commit_of_which_nobody_knows_may_be_told_or_not_but_not_be_taken_back() -> None:
    unknown = committed(1, "k", 2, "info")
    assert findings([*unknown, *told(2, "k", 0), *told(3, "k", 2)]) == []
    assert findings([*unknown, *told(2, "k", 2), *told(3, "k", 0)]) == ["committed offset"]


@pytest.mark.parametrize("first", [1, 0])
def test_judge_member_that_begins_before_what_was_committed_is_found(first: int) -> None:
    member = subscribed(8, "once/0") + polled(8, "once/0", *((n, n) for n in range(first, 3)))
    read = polled(7, "once/0", (0, 0), (1, 1), (2, 2))
    assert findings([*SENT, *read, *committed(7, "once/0", 2), *member]) == ["committed offset"]


def test_judge_member_that_begins_behind_what_was_committed_is_found() -> None:
    member = subscribed(8, "once/0") + polled(8, "once/0", (2, 2))
    read = polled(7, "once/0", (0, 0), (1, 1), (2, 2))
    assert findings([*SENT, *read, *committed(7, "once/0", 1), *member]) == ["committed offset"]


def test_judge_complaint_is_a_finding() -> None:
    assert findings([("info", NEMESIS, "complaint", "it burns")]) == ["complaint"]
