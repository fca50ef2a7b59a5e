"""Whole runs on virtual time, with nodes that are functions."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from in_process import FakeCluster, Handler, Log, make_network, make_settings

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.testing.loop import run
from tidings.workbench.runner import Outcome, Run
from tidings.workbench.services import Body
from tidings.workbench.settings import CLIENT_TIMEOUT_S, Fault

SHORT: dict[str, Any] = {
    "node_count": 3,
    "concurrency": 6,
    "rate": 100.0,
    "time_limit_s": 10.0,
    "recovery_s": 10.0,
}


def run_fakes(make_handler: Callable[[str], Handler], **changes: Any) -> Outcome:
    settings = make_settings(**{**SHORT, **changes})

    async def main() -> Outcome:
        network = make_network()
        cluster = FakeCluster(settings, network, make_handler)
        outcome = Outcome(traffic=network.traffic)
        await Run(settings, network, cluster, outcome, lambda _: None).carry_out()
        return outcome

    return run(main())


def run_fake(handler: Handler, **changes: Any) -> Outcome:
    return run_fakes(lambda _: handler, **changes)


@cache
def plain_run() -> Outcome:
    """A run without faults on a correct log."""
    return run_fake(Log().handle)


def clients_events(outcome: Outcome) -> list[Event]:
    return [event for event in outcome.history if event.process != "nemesis"]


def test_run_on_a_correct_log_is_valid_and_complete() -> None:
    outcome = plain_run()
    verdict = check(outcome.history)
    assert verdict.valid, verdict.anomalies
    tallies = verdict.tallies
    assert tallies["send"].ok > 400
    assert tallies["poll"].ok > 400
    assert tallies["assign"].ok > 5
    assert tallies["crash"].info > 0
    assert [event.index for event in outcome.history] == list(range(len(outcome.history)))


def test_run_reaches_the_rate_and_keeps_the_time_limit() -> None:
    outcome = plain_run()
    assert outcome.main_phase_s == pytest.approx(10.0)
    assert outcome.main_phase_operations == pytest.approx(1000, rel=0.1)


def test_run_quiet_time_has_no_operations_and_final_polls_follow() -> None:
    outcome = plain_run()
    times_s = [event.time / 1e9 for event in outcome.history]
    gap_s, resumed = max(
        (later - earlier, place) for place, (earlier, later) in enumerate(pairwise(times_s), 1)
    )
    assert gap_s == pytest.approx(10.0, abs=0.1)
    final = outcome.history[resumed:]
    completed = [event for event in final if event.type != "invoke"]
    kinds = Counter(event.f for event in completed)
    assert kinds.keys() == {"crash", "assign", "poll"}
    assert kinds["crash"] == kinds["assign"] == 6
    assert all(event.seek_to_beginning for event in completed if event.f == "assign")


def test_run_final_polls_give_up_on_what_is_lost() -> None:
    log = Log()

    def forgetful(body: Body) -> Body:
        reply = log.handle(body)
        if body["type"] == "poll":
            reply["msgs"].pop("3", None)
        return reply

    outcome = run_fake(forgetful, final_polls_s=10.0)
    assert check(outcome.history).bad == ["unseen"]
    last_s = outcome.history[-1].time / 1e9
    assert last_s == pytest.approx(10.0 + 10.0 + 10.0, abs=1.0)


def test_run_worker_has_one_operation_in_flight() -> None:
    in_flight: Counter[int | str] = Counter()
    for event in clients_events(plain_run()):
        in_flight[event.process] += 1 if event.type == "invoke" else -1
        assert in_flight[event.process] in {0, 1}


def test_run_worker_goes_on_as_another_process_after_info() -> None:
    ended: set[int | str] = set()
    events = clients_events(plain_run())
    for event in events:
        assert event.process not in ended
        if event.type == "info":
            ended.add(event.process)
    workers = {int(event.process) % SHORT["concurrency"] for event in events}
    assert workers == set(range(SHORT["concurrency"]))


def test_run_silent_node_costs_its_clients_the_timeout() -> None:
    log = Log()

    def deaf(body: Body) -> Body | None:
        return None if body["type"] == "send" and body["key"] == "9" else log.handle(body)

    events = clients_events(run_fake(deaf, rate=20.0))
    began: dict[int | str, int] = {}
    waits_s = []
    for event in events:
        if event.type == "invoke":
            began[event.process] = event.time
        elif event.f == "send" and event.type == "info":
            assert event.value[0][1] == "9"
            waits_s.append((event.time - began[event.process]) / 1e9)
    assert waits_s
    assert waits_s == pytest.approx([CLIENT_TIMEOUT_S] * len(waits_s))


def test_run_worker_talks_to_the_node_of_its_number() -> None:
    """Every node gives its own number as the offset; each worker only ever hears one."""
    log = Log()

    def make_handler(node_id: str) -> Handler:
        own = {"type": "send_ok", "offset": int(node_id[1:])}
        return lambda body: own if body["type"] == "send" else log.handle(body)

    sends = [
        event
        for event in run_fakes(make_handler, time_limit_s=5.0).history
        if event.f == "send" and event.type == "ok"
    ]
    assert sends
    for event in sends:
        offset = event.value[0][2][0]
        assert offset == int(event.process) % SHORT["concurrency"] % SHORT["node_count"]


def test_run_rate_zero_only_waits() -> None:
    outcome = run_fake(Log().handle, rate=0.0)
    assert outcome.main_phase_operations == 0
    assert outcome.main_phase_s == pytest.approx(10.0)
    assert outcome.history == []


def test_run_with_every_fault_is_valid_and_ends_healed() -> None:
    faults = tuple(Fault)
    outcome = run_fake(Log().handle, faults=faults, nemesis_interval_s=2.0)
    assert check(outcome.history).valid
    steps = Counter(event.f for event in outcome.history if event.process == "nemesis")
    for begin, end in (
        ("start-partition", "stop-partition"),
        ("kill", "start"),
        ("pause", "resume"),
        ("start-loss", "stop-loss"),
        ("start-slow", "stop-slow"),
        ("start-duplicate", "stop-duplicate"),
    ):
        assert steps[begin] == steps[end] > 1
    info = [
        event for event in clients_events(outcome) if event.type == "info" and event.f == "send"
    ]
    assert info


def test_run_same_seed_gives_the_same_history() -> None:
    first = run_fake(Log().handle, seed=5, faults=(Fault.KILL,), time_limit_s=3.0)
    second = run_fake(Log().handle, seed=5, faults=(Fault.KILL,), time_limit_s=3.0)
    other = run_fake(Log().handle, seed=6, faults=(Fault.KILL,), time_limit_s=3.0)
    assert first.history == second.history
    assert first.history != other.history


def test_run_waits_for_operations_in_flight_before_the_quiet_time() -> None:
    log = Log()

    def deaf(body: Body) -> Body | None:
        return None if body["type"] == "send" else log.handle(body)

    open_processes: set[int | str] = set()
    for event in run_fake(deaf, rate=5.0).history:
        (open_processes.add if event.type == "invoke" else open_processes.discard)(event.process)
    assert open_processes == set()


def sends_and_faults(outcome: Outcome) -> tuple[list[Any], list[Any]]:
    sends = [e.value for e in outcome.history if e.f == "send" and e.type == "invoke"]
    return sends, [(e.f, e.value) for e in outcome.history if e.process == "nemesis"]


def test_run_same_seed_asks_and_breaks_the_same_however_nodes_answer() -> None:
    log, other = Log(), Log()

    def slow_to_learn(body: Body) -> Body:
        reply = other.handle(body)
        if body["type"] == "poll":
            reply["msgs"] = {}
        return reply

    faults = (Fault.PARTITION, Fault.LOSS)
    first, then = (
        sends_and_faults(run_fake(h, seed=5, faults=faults, nemesis_interval_s=1.0))
        for h in (log.handle, slow_to_learn)
    )
    assert first[1] == then[1]
    shared = min(len(first[0]), len(then[0]))
    assert shared > 300
    assert first[0][:shared] == then[0][:shared]
