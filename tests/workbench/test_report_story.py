import pytest
from reported import SKIPPING, record, store_run
from test_summary import history, polled, sent

from tidings.checker.kafka import check
from tidings.checker.operations import read_operations
from tidings.workbench.report.load import load_record
from tidings.workbench.report.picture import COLUMNS_MAX, choose_columns, picture
from tidings.workbench.report.story import (
    CIRCLE,
    LATER_POLLS_MAX,
    STEPS_MAX,
    STORIES_MAX,
    Story,
    Teller,
    meaning,
    narrate,
    ranges,
)

SENT = [*sent(0, "k", 0, 1), *sent(0, "k", 1, 2), *sent(0, "k", 2, 3)]

LOST = history(
    *(op for offset in range(5) for op in sent(0, "k", offset, offset)),
    *(op for p in range(1, 9) for op in polled(p, {"k": [[o, o] for o in (0, 1, 3, 4)]})),
)


def only_story(events: list, name: str) -> Story:  # type: ignore[type-arg]
    run = record(events)
    [story] = Teller(run).stories(run.verdict.anomalies[name][:1])
    return story


def test_story_of_a_skip_tells_who_sent_what_was_skipped_and_who_polled_over_it() -> None:
    story = only_story(SKIPPING, "int-poll-skip")
    told = [f"{step.who} {step.text}" for step in story.steps]
    assert told == [
        "process 1 sent message 2 to key k, and was told offset 1",
        "process 1 polled key k and got offsets 0, 2",
    ]
    assert story.missing == "Offset 1 is missing from the poll."


def test_story_names_the_nodes_when_settings_tell_them(tmp_path: object) -> None:
    run = load_record(store_run(tmp_path))  # type: ignore[arg-type]
    [story] = Teller(run).stories(run.verdict.anomalies["int-poll-skip"])
    assert story.steps[0].who == "process 1, on n1"


def test_story_of_a_lost_write_shows_some_polls_that_should_have_had_it() -> None:
    story = only_story(LOST, "lost-write")
    polls = [step for step in story.steps if step.is_poll]
    assert 1 <= len(polls) <= LATER_POLLS_MAX + 1
    assert "sent message 2 to key k" in story.steps[0].text
    assert story.missing == "Offset 2 is missing from every poll."


def test_story_steps_are_in_order_of_time_and_bounded() -> None:
    many = history(
        *(op for offset in range(200) for op in sent(0, "k", offset, offset)),
        *polled(1, {"k": [[0, 0], [199, 199]]}),
    )
    story = only_story(many, "int-poll-skip")
    times = [step.event.time for step in story.steps]
    assert times == sorted(times)
    assert len(story.steps) <= STEPS_MAX
    begin_s, end_s = story.window_s
    assert end_s - begin_s < 3


def test_teller_tells_the_first_of_many() -> None:
    many = history(*(op for offset in range(50) for op in sent(0, "k", offset, offset)))
    run = record(many)
    assert len(list(Teller(run).stories(run.verdict.anomalies["unseen"]))) == STORIES_MAX


def test_every_anomaly_has_a_meaning() -> None:
    assert meaning("G1c") == CIRCLE
    for name in ("unseen", "poll-skip", "duplicate"):
        assert meaning(name) != CIRCLE


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("ok", [["send", "k", [3, 7]]], "sent message 7 to key k, and was told offset 3"),
        (
            "fail",
            [["send", "k", 7]],
            "sent message 7 to key k, and was told that it did",
        ),
        ("info", [["send", "k", 7]], "sent message 7 to key k, and was never told whether"),
    ],
)
def test_narrate_says_what_the_client_knew(kind: str, value: object, told: str) -> None:
    events = history((0, "invoke", "send", [["send", "k", 7]]), (0, kind, "send", value))  # type: ignore[arg-type]
    [operation] = read_operations(events)
    assert narrate(operation, "k").startswith(told)


def test_narrate_of_a_poll_leaves_other_keys_out() -> None:
    [operation] = read_operations(history(*polled(0, {"k": [], "other": [[0, 1]]})))
    assert narrate(operation, "k") == "polled key k and got nothing"
    assert "other" in narrate(operation, None)


def test_ranges_joins_neighbours_and_is_bounded() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1\u20133, 7, 9\u201310"
    assert ranges([5, 4]) == "5, 4"
    assert ranges([0, 2, 4, 6], shown_max=2) == "0, 2 and 2 more"


def test_picture_marks_the_hole_that_a_poll_left() -> None:
    story = only_story(SKIPPING, "int-poll-skip")
    assert choose_columns(story) == [0, 1, 2]
    drawn = picture(story)
    assert drawn.count('class="hole"') == 1
    assert drawn.count('class="cell poll"') == 2
    assert drawn.count('class="cell send"') == 1


def test_picture_marks_no_hole_where_a_poll_has_the_record_in_another_place() -> None:
    events = history(*SENT, *polled(1, {"k": [[0, 1], [2, 3], [1, 2]]}))
    drawn = picture(only_story(events, "int-poll-skip"))
    assert drawn.count('class="cell poll"') == 3
    assert 'class="hole"' not in drawn


def test_picture_of_a_lost_write_marks_it_in_every_poll_that_went_beyond() -> None:
    story = only_story(LOST, "lost-write")
    polls = [step for step in story.steps if step.is_poll]
    assert picture(story).count('class="hole"') == len(polls) >= 2


def test_picture_is_bounded_however_much_was_skipped() -> None:
    events = history(
        *(op for offset in range(60) for op in sent(0, "k", offset, offset)),
        *polled(1, {"k": [[0, 0], [59, 59]]}),
    )
    assert len(choose_columns(only_story(events, "int-poll-skip"))) <= COLUMNS_MAX


def test_picture_of_a_circle_is_a_chain() -> None:
    def txn(process: int, key: str, other: str) -> list:  # type: ignore[type-arg]
        done = [["send", key, [0, 1]], ["poll", {other: [[0, 1]]}]]
        return [
            (process, "invoke", "txn", [["send", key, 1], ["poll"]]),
            (process, "ok", "txn", done),
        ]

    first, second = txn(0, "x", "y"), txn(1, "y", "x")
    events = history(first[0], second[0], first[1], second[1])
    assert "G1c" in check(events).anomalies
    drawn = picture(only_story(events, "G1c"))
    assert drawn.count('class="link"') == 2
    assert "arrow" in drawn
