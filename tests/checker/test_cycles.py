"""Each kind of dependency cycle, near misses, and a naive search that must find the same."""

from hypothesis import given
from hypothesis import strategies as st
from recorded import Recorded, names_of, proof, sent

from tidings.checker.cycles import judge_cycles
from tidings.checker.evidence import Evidence, gather
from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.checker.operations import Operation, read_operations
from tidings.checker.verdict import Findings
from tidings.types import Json


def two_txns(first: list[Json], second: list[Json]) -> tuple[Recorded, list[int]]:
    """Processes 1 and 2 do a transaction each, at the same time; their completions."""
    history = Recorded()
    history.invoke(1, "txn", [["poll"]])
    history.invoke(2, "txn", [["poll"]])
    ends = [history.complete(1, first), history.complete(2, second)]
    return history, ends


def test_txns_that_polled_each_others_messages_are_g1c() -> None:
    history, ends = two_txns(
        [sent("x", 1, 0), ["poll", {"y": [[0, 2]]}]], [sent("y", 2, 0), ["poll", {"x": [[0, 1]]}]]
    )
    verdict = check(history.events)
    assert verdict.anomaly_counts == {"G1c": 1, "PL-2-cycle-exists": 1}
    assert verdict.bad == ["G1c", "PL-2-cycle-exists"]
    assert proof(verdict, "G1c") == ends
    assert proof(verdict, "PL-2-cycle-exists") == ends
    assert verdict.anomalies["G1c"][0].sentence == (
        'event 2 sent message 1 to key "x", which event 3 polled; '
        'event 3 sent message 2 to key "y", which event 2 polled: a cycle'
    )


def test_txns_of_which_only_one_polled_the_other_are_no_cycle() -> None:
    history, _ = two_txns([sent("x", 1, 0)], [sent("y", 2, 0), ["poll", {"x": [[0, 1]]}]])
    history.poll(9, {"x": [(0, 1)], "y": [(0, 2)]})
    assert names_of(history) == []


def test_polling_or_sending_after_oneself_is_no_dependency() -> None:
    own = ["poll", {"x": [[0, 1]], "y": [[0, 2]]}]
    history, ends = two_txns([sent("x", 1, 0), sent("x", 3, 1), own], [sent("y", 2, 0), own])
    for ww_deps in (False, True):
        verdict = check(history.events, ww_deps=ww_deps)
        assert proof(verdict, "G1c") == ends
        assert "G0" not in verdict.anomalies


def test_message_polled_before_its_send_began_is_g1c_realtime() -> None:
    history = Recorded()
    poll = history.poll(1, {"x": [(0, 1)]})
    send = history.send(2, "x", 1, at=0)
    verdict = check(history.events)
    assert verdict.bad == ["G1c-realtime", "strong-PL-2-cycle-exists"]
    assert proof(verdict, "G1c-realtime") == [poll, send - 1, send]
    assert proof(verdict, "strong-PL-2-cycle-exists") == [poll, send]
    assert verdict.anomalies["G1c-realtime"][0].sentence == (
        "event 1 ended before event 3's operation began (event 2); "
        'event 3 sent message 1 to key "x", which event 1 polled: a cycle'
    )


def test_message_polled_while_it_was_being_sent_is_no_cycle() -> None:
    history = Recorded()
    history.invoke(2, "send", [["send", "x", 1]])
    history.poll(1, {"x": [(0, 1)]})
    history.complete(2, [sent("x", 1, 0)])
    assert names_of(history) == []


def test_message_polled_by_an_unknown_poll_before_its_send_began_is_no_cycle() -> None:
    history = Recorded()
    history.poll(1, {"x": [(0, 1)]}, ends="info")
    history.send(2, "x", 1, at=0)
    history.poll(3, {"x": [(0, 1)]})
    assert names_of(history) == []


def test_real_time_through_a_chain_of_txns_is_g1c_realtime() -> None:
    history = Recorded()
    history.invoke(1, "txn", [["poll"]])
    poll = history.poll(2, {"y": [(0, 2)]})
    send = history.send(3, "x", 1, at=0)
    txn = history.complete(1, [["poll", {"x": [[0, 1]]}], sent("y", 2, 0)])
    verdict = check(history.events)
    assert verdict.bad == ["G1c-realtime", "strong-PL-2-cycle-exists"]
    assert proof(verdict, "G1c-realtime") == [poll, send - 1, send, txn]


def test_cycles_of_separate_groups_are_named_each() -> None:
    history, _ = two_txns(
        [sent("x", 1, 0), ["poll", {"y": [[0, 2]]}]], [sent("y", 2, 0), ["poll", {"x": [[0, 1]]}]]
    )
    history.poll(3, {"z": [(0, 1)]})
    history.send(4, "z", 1, at=0)
    assert check(history.events).bad == [
        "G1c",
        "G1c-realtime",
        "PL-2-cycle-exists",
        "strong-PL-2-cycle-exists",
    ]


def interleaved() -> tuple[Recorded, list[int]]:
    """Return two transactions whose sends to x and y took opposite orders."""
    history, ends = two_txns([sent("x", 1, 0), sent("y", 1, 1)], [sent("x", 2, 1), sent("y", 2, 0)])
    history.poll(9, {"x": [(0, 1), (1, 2)], "y": [(0, 2), (1, 1)]})
    return history, ends


def test_sends_in_opposite_orders_are_g0_where_order_is_a_dependency() -> None:
    history, ends = interleaved()
    verdict = check(history.events, ww_deps=True)
    assert verdict.anomaly_counts == {"G0": 1, "PL-1-cycle-exists": 1}
    assert proof(verdict, "G0") == ends
    assert verdict.valid, "sends are not isolated"


def test_sends_in_opposite_orders_are_no_cycle_otherwise() -> None:
    assert names_of(interleaved()[0]) == []


def test_send_that_lands_before_one_that_was_over_is_g0_realtime() -> None:
    history = Recorded()
    first = history.send(1, "x", 1, at=1)
    second = history.send(2, "x", 2, at=0)
    history.poll(9, {"x": [(0, 2), (1, 1)]})
    verdict = check(history.events, ww_deps=True)
    assert verdict.anomaly_counts == {"G0-realtime": 1, "strong-PL-1-cycle-exists": 1}
    assert proof(verdict, "G0-realtime") == [first, second - 1, second]
    assert verdict.valid


def test_cycle_through_the_order_of_sends_is_allowed_where_that_is_a_dependency() -> None:
    history, ends = two_txns([sent("x", 1, 0), ["poll", {"y": [[0, 2]]}]], [sent("x", 2, 1)])
    txn = history.events[ends[1]]
    history.events[ends[1]] = Event(
        index=txn.index,
        time=txn.time,
        type="ok",
        process=2,
        f="txn",
        value=[sent("x", 2, 1), sent("y", 2, 0)],
    )
    history.poll(9, {"x": [(0, 1), (1, 2)], "y": [(0, 2)]})
    verdict = check(history.events, ww_deps=True)
    assert list(verdict.anomalies) == ["G1c", "PL-2-cycle-exists"]
    assert verdict.valid
    assert check(history.events).valid


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw up to eight overlapping operations that send to, and poll from, keys at random.

    In half of the histories no operation does both.
    """
    count = draw(st.integers(1, 8))
    mixed = draw(st.booleans())
    moments = draw(st.permutations([process for process in range(count) for _ in range(2)]))
    history = Recorded()
    invoked: set[int] = set()
    for process in moments:
        if process not in invoked:
            invoked.add(process)
            history.invoke(process, "txn", [["poll"]])
            continue
        seen = draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True))
        polled = {str(sender): [[sender, sender]] for sender in seen}
        value: Json = [["poll", polled]]
        if draw(st.booleans()):
            send = sent(str(process), process, process)
            value = [*value, send] if mixed else [send]
        history.complete(process, value, ends=draw(st.sampled_from(["ok", "ok", "info", "fail"])))
    return history.events


@given(histories())
def test_cycles_are_those_that_a_naive_search_finds(events: list[Event]) -> None:
    evidence = gather(read_operations(events))
    findings = Findings()
    judge_cycles(evidence, findings, ww_deps=False)
    assert sorted(findings.counts) == sorted(naive_names(evidence))


def naive_names(evidence: Evidence) -> set[str]:
    """Name the cycles by comparing every operation with every other."""
    operations = evidence.operations
    wr = [(a, b) for a in operations for b in operations if a is not b and polled_from(a, b)]
    realtime = [
        (a, b)
        for a in operations
        for b in operations
        if a.type == "ok" and a.completed_at < b.invoked_at
    ]
    by_data = reach(wr)
    by_all = reach(wr + realtime)
    names = set()
    for operation in operations:
        group = [
            other for other in operations if {(operation, other), (other, operation)} <= by_all
        ]
        if group and any((member, member) in by_data for member in group):
            names |= {"G1c", "PL-2-cycle-exists"}
        elif group:
            names |= {"G1c-realtime", "strong-PL-2-cycle-exists"}
    return names


def polled_from(sender: Operation, reader: Operation) -> bool:
    return any(
        message in reader.polls[key].messages
        for key, batch in sender.sends.items()
        if key in reader.polls
        for message in batch.messages
    )


def reach(
    edges: list[tuple[Operation, Operation]],
) -> set[tuple[Operation, Operation]]:
    """Return the transitive closure of the edges."""
    closure = set(edges)
    while True:
        longer = {(a, d) for a, b in closure for c, d in closure if b is c} | closure
        if longer == closure:
            return closure
        closure = longer
