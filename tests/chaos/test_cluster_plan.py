"""The faults that a seed draws, and the figures that a history gives."""

from itertools import pairwise
from random import Random

import pytest
from chaos_history import NEMESIS, Recorder
from cluster_figures import START, STOP, Period, faults, lines, recoveries, silences
from cluster_plan import _SCOPES, KILL_BROKERS, KINDS, REST_S, SHIFT_CLOCKS, plan

from tidings.checker.history import Event
from tidings.types import Json

HOUR_S = 3600.0


def test_plan_of_a_seed_is_the_same_each_time_and_of_another_seed_is_not() -> None:
    assert plan(Random("1"), HOUR_S, 3) == plan(Random("1"), HOUR_S, 3)
    assert plan(Random("1"), HOUR_S, 3) != plan(Random("2"), HOUR_S, 3)


def test_plan_of_an_hour_has_every_kind_often_and_on_one_some_and_all_brokers() -> None:
    drawn = plan(Random("1"), HOUR_S, 3)
    assert all(sum(fault.kind == kind for fault in drawn) >= 15 for kind in KINDS)
    killed = [len(fault.brokers) for fault in drawn if fault.kind == KILL_BROKERS]
    assert {1, 2, 3} == set(killed)
    assert any(fault.one_way for fault in drawn)
    assert any(fault.shift_s > 60 for fault in drawn)
    assert any(fault.shift_s < -60 for fault in drawn)


def test_plan_faults_of_one_scope_do_not_overlap_but_those_of_others_do() -> None:
    drawn = plan(Random("1"), HOUR_S, 3)
    for scope in dict.fromkeys(_SCOPES.values()):
        own = [fault for fault in drawn if _SCOPES[fault.kind] == scope]
        assert all(first.end_s <= second.begin_s for first, second in pairwise(own))
    assert any(first.end_s > second.begin_s for first, second in pairwise(drawn))


def test_plan_leaves_rests_in_which_nothing_is_wrong() -> None:
    drawn = plan(Random("1"), HOUR_S, 3)
    rests = [
        second.begin_s - max(fault.end_s for fault in drawn[:number])
        for number, second in enumerate(drawn)
        if number
    ]
    assert sum(rest_s >= REST_S[0] for rest_s in rests) > 50


def test_plan_of_some_kinds_has_no_others() -> None:
    drawn = plan(Random("1"), 600.0, 3, [KILL_BROKERS, SHIFT_CLOCKS])
    assert {fault.kind for fault in drawn} == {KILL_BROKERS, SHIFT_CLOCKS}


class Clock:
    """Tells the time that a test wants."""

    now_s = 0.0

    def __call__(self) -> int:
        return int(self.now_s * 1e9)


Said = tuple[float, str, int | str, str, Json]


def history(*said: Said) -> list[Event]:
    clock = Clock()
    recorder = Recorder(clock)
    for clock.now_s, type_, process, f, value in sorted(said, key=lambda each: each[0]):
        assert type_ in ("invoke", "ok", "info")
        recorder.note(type_, process, f, value)  # type: ignore[arg-type]  # mypy forgets it
    return recorder.events()


def sent(begin_s: float, end_s: float, offset: int) -> list[Said]:
    return [
        (begin_s, "invoke", offset, "send", [["send", "once/0", offset]]),
        (end_s, "ok", offset, "send", [["send", "once/0", [offset, offset]]]),
    ]


def fault(at_s: float, f: str, number: int = 0) -> Said:
    return (at_s, "info", NEMESIS, f, {"number": number, "kind": f"kind {number}", "on": "b1"})


OUTAGE: list[Said] = [
    *sent(0, 1, 0),
    fault(2, START),
    fault(3, START, 1),
    fault(8, STOP),
    fault(10, STOP, 1),
    *sent(9, 11, 1),
    *sent(12, 13.5, 2),
    *sent(13.6, 13.9, 3),
]


def test_figures_faults_have_their_times() -> None:
    assert faults(history(*OUTAGE)) == [Period(2, 8, "kind 0"), Period(3, 10, "kind 1")]
    assert faults(history(*OUTAGE)[:5]) == [Period(2, 8, "kind 0"), Period(3, 8, "kind 1")]


def test_figures_silence_is_between_two_acknowledged_sends_far_apart() -> None:
    assert silences(history(*OUTAGE)) == [
        Period(1, 11, "kind 0, kind 1"),
        Period(11, 13.5, "no fault"),
    ]


def test_figures_recovery_ends_with_a_send_begun_after_the_last_fault() -> None:
    assert recoveries(history(*OUTAGE)) == [Period(10, 13.5, "kind 1")]


def test_figures_recovery_that_a_new_fault_interrupts_is_left_out() -> None:
    assert recoveries(history(*OUTAGE, fault(12, START, 2))) == []


@pytest.mark.parametrize("word", ["kind 0", "10.0 s", "3.5 s"])
def test_figures_are_said(word: str) -> None:
    assert word in "\n".join(lines(history(*OUTAGE)))
