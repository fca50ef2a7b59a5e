"""`tidings cluster`: from what brokers say of themselves to a table."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping

import pytest
from click.testing import CliRunner

from tidings.cli import main
from tidings.kafka.metrics.exposition import Family, Sample, render
from tidings.kafka.metrics.http import Page, http_server

pytestmark = pytest.mark.real


def gauge(name: str, value: float, **labels: str) -> Family:
    return Family(name, "gauge", "M.", [Sample(value, labels)])


def said(broker: int, slot: int, checkpoint: int, *, failures: int = 0) -> list[Family]:
    """What a broker says of itself."""
    return [
        gauge("tidings_journal_next_slot", slot),
        gauge("tidings_checkpoint_slot", checkpoint),
        gauge("tidings_checkpoint_timestamp_seconds", 1000 + broker),
        gauge("tidings_connections", 7),
        gauge("tidings_beat_age_seconds", 0.25),
        gauge("tidings_store_call_failures_total", failures, store="order", call="append"),
        Family(
            "tidings_gossip_connected",
            "gauge",
            "M.",
            [
                Sample(number == 2, {"broker": str(number)})
                for number in (1, 2, 3)
                if number != broker
            ],
        ),
    ]


def known(addresses: Mapping[int, str]) -> Family:
    """What a broker says of all."""
    told = [
        {"broker": str(number), "address": f"h:{number}", "rack": "a", "metrics": metrics}
        for number, metrics in addresses.items()
    ]
    name = "tidings_cluster_broker_info"
    return Family(name, "gauge", "M.", [Sample(1, labels) for labels in told])


def says(page: Page) -> Callable[[], Awaitable[Page]]:
    async def say() -> Page:
        return page

    return say


@contextlib.contextmanager
def served(pages: Mapping[socket.socket, tuple[list[Family], Page]]) -> Iterator[None]:
    """Serve metrics and readiness on sockets."""
    begun, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for listening, (families, ready) in pages.items():
                both = {"/metrics": says(Page(200, render(families))), "/readyz": says(ready)}
                await stack.enter_async_context(http_server(listening, both))
            begun.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def listening() -> tuple[socket.socket, str]:
    found = socket.create_server(("127.0.0.1", 0))
    return found, f"127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture
def cluster() -> Iterator[str]:
    """Run what looks like four brokers; return the URL of one.

    The first is well, the second is behind and without its store, the third has no metrics, the
    fourth is dead.
    """
    (one, first), (two, second), (four, fourth) = listening(), listening(), listening()
    four.close()
    everybody = known({1: first, 2: second, 3: "", 4: fourth})
    away = Page(503, b"the order store does not answer in 2 s\n")
    pages = {
        one: ([everybody, *said(1, 1234, 1000)], Page(200, b"ok\n")),
        two: ([everybody, *said(2, 1200, 1100, failures=5)], away),
    }
    with served(pages):
        yield f"http://{first}/metrics"


def test_cluster_shows_each_broker_and_the_newest_checkpoint(cluster: str) -> None:
    result = CliRunner().invoke(main, ["cluster", cluster])
    assert result.exit_code == 0, result.output
    titles, first, second, third, fourth, _, last = result.stdout.splitlines()
    assert titles.split()[:5] == ["ID", "ADDRESS", "RACK", "SLOT", "BEHIND"]
    assert first.split() == [
        "1",
        "h:1",
        "a",
        "1234",
        "0",
        "1",
        "of",
        "3",
        "7",
        "0.2",
        "s",
        "-",
        "0",
        "yes",
    ]
    assert second.split()[:5] == ["2", "h:2", "a", "1200", "34"]
    assert second.endswith("5       the order store does not answer in 2 s")
    assert third.endswith("it was started without --metrics-port")
    assert "Connection refused" in fourth
    assert last.startswith("newest checkpoint: slot 1,100, made ")
    assert last.endswith("; 134 slots since")


def test_cluster_for_scripts_says_what_is_not_known_as_null(cluster: str) -> None:
    result = CliRunner().invoke(main, ["cluster", "--json", cluster])
    found = json.loads(result.stdout)
    assert [broker["behind_slots"] for broker in found["brokers"]] == [0, 34, None, None]
    assert [broker["trouble"] is None for broker in found["brokers"]] == [True] + 3 * [False]
    assert (found["checkpoint_slot"], found["slots_since_checkpoint"]) == (1100, 134)
    assert found["checkpoint_at_s"] == 1002


def test_broker_without_others_is_told_so() -> None:
    one, address = listening()
    with served({one: (said(1, 1, 0), Page(200, b"ok\n"))}):
        result = CliRunner().invoke(main, ["cluster", f"http://{address}/metrics"])
    assert result.exit_code == 1
    assert "no part of a cluster" in result.stderr
