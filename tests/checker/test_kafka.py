"""The verdict as a whole."""

import pytest
from recorded import Recorded, only_anomaly

from tidings.checker.kafka import check
from tidings.checker.verdict import INSTANCES_MAX, Tally, bad_names


def test_empty_history_is_valid() -> None:
    verdict = check([])
    assert verdict.valid
    assert verdict.anomalies == {}
    assert verdict.tallies == {}
    assert verdict.worst_realtime_lag is None
    assert verdict.event_count == 0


def test_operations_are_tallied_by_how_they_ended() -> None:
    history = Recorded()
    history.send(0, "k", 1, at=0)
    history.send(0, "k", 2, ends="fail")
    history.send(0, "k", 3, ends="info")
    history.poll(1, {"k": [(0, 1)]})
    history.invoke(0, "send", [["send", "k", 4]])
    history.invoke(1, "crash", None)
    history.complete(1, ends="info")
    verdict = check(history.events)
    assert verdict.tallies == {
        "crash": Tally(info=1),
        "poll": Tally(ok=1),
        "send": Tally(ok=1, fail=1, info=2),
    }
    assert verdict.event_count == len(history.events)


def test_anomalies_are_all_counted_but_only_so_many_kept() -> None:
    history = Recorded()
    history.send(0, "k", "sent", at=0)
    history.poll(0, {"k": [(0, "sent")]})
    for offset in range(1, 1 + 2 * INSTANCES_MAX):
        history.poll(offset, {"k": [(offset, f"never sent {offset}")]})
    verdict = check(history.events)
    assert verdict.anomaly_counts == {"phantom": 2 * INSTANCES_MAX}
    assert len(verdict.anomalies["phantom"]) == INSTANCES_MAX


def test_record_with_a_negative_offset_is_judged_but_pointed_out() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=-1)
    poll = history.poll(1, {"k": [(-5, 1)]})
    verdict = check(history.events)
    assert verdict.valid
    assert verdict.unplaced_event_indexes == [send, poll]


def test_record_with_a_negative_offset_is_still_unseen_if_nobody_polled_it() -> None:
    history = Recorded()
    send = history.send(0, "k", 1, at=-1)
    history.poll(1, {})
    unseen = only_anomaly(history, "unseen")
    assert (unseen.event_indexes, unseen.offsets) == ([send], [])


@pytest.mark.parametrize(
    ("sub_via", "ww_deps", "allowed"),
    [
        (["assign"], False, []),
        (["assign", "subscribe"], False, ["poll-skip", "nonmonotonic-poll"]),
        (["assign"], True, ["G1c", "G1c-process", "G1c-realtime"]),
        (["assign"], True, ["PL-2-cycle-exists", "strong-PL-2-cycle-exists"]),
    ],
)
def test_names_are_bad_unless_allowed(
    sub_via: list[str], ww_deps: bool, allowed: list[str]
) -> None:
    always_allowed = ["int-send-skip", "G0", "G0-process", "G0-realtime", "PL-1-cycle-exists"]
    always_bad = ["unseen", "duplicate", "phantom", "G1a"]
    names = [*always_allowed, "strong-PL-1-cycle-exists", *allowed, *always_bad]
    assert bad_names(names, sub_via=sub_via, ww_deps=ww_deps) == sorted(always_bad)
    if allowed:
        assert bad_names(allowed, sub_via=["assign"], ww_deps=False) == sorted(allowed)
