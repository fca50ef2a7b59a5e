import pytest

from tidings.checker.history import Event, EventType
from tidings.workbench.figures import measure, measure_messages, quantiles
from tidings.workbench.network import Traffic

MS = 1_000_000


def event(
    index: int, kind: EventType, process: int | str, f: str, time: int, *, error: str = ""
) -> Event:
    return Event(index=index, time=time, type=kind, process=process, f=f, error=error or None)


HISTORY = [
    event(0, "invoke", 0, "send", 0),
    event(1, "invoke", 1, "send", 1 * MS),
    event(2, "info", "nemesis", "kill", 1 * MS),
    event(3, "ok", 1, "send", 3 * MS),
    event(4, "fail", 0, "send", 9 * MS, error="error 11: busy"),
    event(5, "invoke", 0, "poll", 10 * MS),
    event(6, "info", 0, "poll", 20 * MS, error="no reply in time"),
    event(7, "invoke", 2, "send", 21 * MS),
    event(8, "info", 2, "send", 22 * MS, error="no reply in time"),
    event(9, "invoke", 3, "send", 23 * MS),
]


def test_figures_count_how_each_kind_ended() -> None:
    figures = measure(HISTORY)
    assert figures.operations == 5
    send, poll = figures.kinds["send"], figures.kinds["poll"]
    assert (send.ok, send.fail, send.info) == (1, 1, 2)
    assert (poll.ok, poll.fail, poll.info) == (0, 0, 1)
    assert list(figures.kinds) == ["send", "poll"]
    assert "kill" not in figures.kinds


def test_figures_availability_is_the_part_that_ended_ok() -> None:
    kinds = measure(HISTORY).kinds
    assert kinds["send"].availability == 0.25
    assert kinds["poll"].availability == 0


def test_figures_latency_is_that_of_operations_that_ended_ok() -> None:
    kinds = measure(HISTORY).kinds
    assert set(kinds["send"].latencies_ms.values()) == {2.0}
    assert kinds["poll"].latencies_ms == {}


def test_figures_name_the_reasons_the_most_frequent_first() -> None:
    assert list(measure(HISTORY).errors.items()) == [("no reply in time", 2), ("error 11: busy", 1)]


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles([float(n) for n in range(100, 0, -1)]) == {
        "p50": 50,
        "p95": 95,
        "p99": 99,
        "max": 100,
    }
    assert quantiles([7.0]) == {"p50": 7, "p95": 7, "p99": 7, "max": 7}


def test_message_figures_are_per_operation_without_clients() -> None:
    traffic = Traffic(clients=50, by_peer={"nodes": 10, "lin-kv": 30}, lost=3)
    figures = measure_messages(traffic, 20)
    assert figures.per_operation == 2.0
    assert figures.per_operation_by_peer == {"nodes": 0.5, "lin-kv": 1.5}
    assert (figures.total, figures.servers, figures.clients, figures.lost) == (90, 40, 50, 3)


def test_message_figures_without_operations_divide_by_nothing() -> None:
    assert measure_messages(Traffic(), 0).per_operation == pytest.approx(0)
