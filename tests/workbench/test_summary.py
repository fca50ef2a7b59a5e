from typing import Any

from tidings.checker.history import Event, EventType
from tidings.checker.kafka import check
from tidings.workbench.figures import measure, measure_messages
from tidings.workbench.network import Traffic
from tidings.workbench.summary import (
    INSTANCES_SHOWN,
    VALUE_CHARS,
    anomaly_lines,
    figure_lines,
    join,
    message_lines,
    verdict_lines,
)


def history(*operations: tuple[int, EventType, str, Any]) -> list[Event]:
    return [
        Event(index=index, time=index * 10**9, type=kind, process=process, f=f, value=value)
        for index, (process, kind, f, value) in enumerate(operations)
    ]


def sent(
    process: int, key: str, offset: int, message: int
) -> list[tuple[int, EventType, str, Any]]:
    return [
        (process, "invoke", "send", [["send", key, message]]),
        (process, "ok", "send", [["send", key, [offset, message]]]),
    ]


def polled(process: int, records: dict[str, Any]) -> list[tuple[int, EventType, str, Any]]:
    return [(process, "invoke", "poll", [["poll"]]), (process, "ok", "poll", [["poll", records]])]


LOST = history(
    *(op for offset in range(30) for op in sent(0, "k", offset, offset + 1)),
    *polled(1, {"k": [[o, o + 1] for o in range(30) if o != 20], "other": []}),
)


def test_summary_valid_history_says_so() -> None:
    good = history(*sent(0, "k", 0, 1), *polled(1, {"k": [[0, 1]]}))
    verdict = check(good)
    assert join(verdict_lines(verdict)) == "VALID"
    assert join(anomaly_lines(verdict, good)) == ""


def test_summary_run_in_which_nothing_of_a_kind_succeeded_is_invalid() -> None:
    send: tuple[int, EventType, str, Any] = (0, "invoke", "send", [["send", "k", 1]])
    failed = history(send, (0, "fail", "send", [["send", "k", 1]]), *polled(1, {}))
    verdict = check(failed)
    assert verdict.valid
    assert join(verdict_lines(verdict)) == "INVALID: no send succeeded"


def test_summary_crashes_need_not_succeed() -> None:
    crash: tuple[int, EventType, str, Any] = (0, "invoke", "crash", None)
    verdict = check(
        history(crash, (0, "info", "crash", None), *sent(1, "k", 0, 1), *polled(1, {"k": [[0, 1]]}))
    )
    assert join(verdict_lines(verdict)) == "VALID"


def test_summary_lost_write_is_shown_with_the_operations_that_prove_it() -> None:
    verdict = check(LOST)
    assert "INVALID" in join(verdict_lines(verdict))
    assert "1 lost-write" in join(verdict_lines(verdict))
    text = join(anomaly_lines(verdict, LOST))
    assert "lost-write: 1 found" in text
    assert '[["send","k",[20,21]]]' in text
    assert "process 0" in text


def test_summary_poll_shows_the_records_around_the_anomaly_only() -> None:
    text = join(anomaly_lines(check(LOST), LOST))
    polls = [line for line in text.splitlines() if '"poll"' in line]
    assert polls
    for line in polls:
        assert "other" not in line
        assert "[1,2]" not in line
        assert "[29,30]" in line or "[21,22]" in line


def test_summary_shows_a_bounded_number_of_instances() -> None:
    many = history(*(op for offset in range(50) for op in sent(0, "k", offset, offset)))
    verdict = check(many)
    text = join(anomaly_lines(verdict, many))
    assert text.count("acknowledged but never polled") == INSTANCES_SHOWN
    assert f"… and {50 - INSTANCES_SHOWN} more" in text


def test_summary_lines_of_events_are_bounded() -> None:
    message = "x" * 10_000
    big = history(
        (0, "invoke", "send", [["send", "k", message]]),
        (0, "ok", "send", [["send", "k", [0, message]]]),
    )
    lines = join(anomaly_lines(check(big), big)).splitlines()
    event_lines = [line for line in lines if "[[" in line]
    assert event_lines
    assert all(len(line) < VALUE_CHARS + 80 for line in event_lines)


def test_summary_figures_are_aligned() -> None:
    lines = list(figure_lines(measure(LOST)))
    assert lines[0].split() == ["ok", "fail", "info", "available", "p50", "p95", "p99", "max"]
    assert lines[1].split()[:5] == ["send", "30", "0", "0", "100.00%"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_summary_messages_are_split_by_peer() -> None:
    traffic = Traffic(clients=4, by_peer={"nodes": 2, "lin-kv": 6, "seq-kv": 0}, lost=1)
    text = join(message_lines(measure_messages(traffic, 4)))
    assert "2.00 messages per operation (nodes 0.50, lin-kv 1.50)" in text
    assert "12 sent: 8 between servers, 4 with clients; 1 lost" in text
