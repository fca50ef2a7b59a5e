"""`tidings top`: from two pages of metrics to a screen."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from tidings.cli import main
from tidings.cli.top import screen
from tidings.client.overview import Calls, GroupLag, overview, quantile
from tidings.client.scraping import Sample, parse
from tidings.kafka.metrics.exposition import Family, Histogram, render
from tidings.kafka.metrics.exposition import Sample as Exported

PATIENCE_S = 60.0


def page(*, requests: int, lag: int, records: int) -> str:
    durations = Histogram((0.01, 0.1, 1))
    for _ in range(requests):
        durations.observe(0.05)
    lags = [
        Exported(lag, {"group": "g", "topic": "news", "partition": "0"}),
        Exported(lag, {"group": "g", "topic": "news", "partition": "1"}),
        Exported(1, {"group": "small", "topic": "news", "partition": "0"}),
    ]
    families = [
        Family(
            "tidings_request_duration_seconds",
            "histogram",
            "Times.",
            durations.samples({"api": "Produce"}),
        ),
        Family("tidings_group_lag_records", "gauge", "Lags.", lags),
        Family("tidings_appended_records_total", "counter", "Records.", [Exported(records)]),
    ]
    return render(families).decode()


def test_page_is_read_as_it_was_written() -> None:
    labels = {"topic": 'a "b"\\ c\nd', "le": "+Inf"}
    text = render([Family("m", "gauge", "M.", [Exported(0.5, labels), Exported(3)])]).decode()
    assert parse(text) == {"m": [Sample(labels, 0.5), Sample({}, 3)]}


def test_overview_tells_what_happened_between_two_pages() -> None:
    before = parse(page(requests=10, lag=5, records=100))
    after = parse(page(requests=30, lag=15, records=500))
    seen = overview(before, after, 2.0)
    assert seen.records_per_s == 200
    (produce,) = seen.requests
    assert (produce.name, produce.per_s) == ("Produce", 10)
    assert produce.p50_s is not None
    assert 0.01 < produce.p50_s < 0.1
    assert seen.lags == [GroupLag("g", "news", 30, 10), GroupLag("small", "news", 1, 0)]
    assert seen.batches_per_publish is None


def test_overview_of_a_broker_that_was_started_anew_has_no_negative_rates() -> None:
    before = parse(page(requests=30, lag=0, records=500))
    after = parse(page(requests=0, lag=0, records=0))
    seen = overview(before, after, 2.0)
    assert seen.records_per_s == 0
    assert all(calls.per_s >= 0 for calls in seen.requests)


@pytest.mark.parametrize(
    ("counts", "part", "expected"),
    [
        ({1.0: 0, 2.0: 10, math.inf: 10}, 0.5, 1.5),
        ({1.0: 10, 2.0: 10, math.inf: 10}, 0.5, 0.5),
        ({1.0: 0, 2.0: 0, math.inf: 10}, 0.5, 2.0),
        ({1.0: 0, 2.0: 0, math.inf: 0}, 0.5, None),
    ],
)
def test_quantile_is_guessed_within_its_bucket(
    counts: dict[float, float], part: float, expected: float | None
) -> None:
    assert quantile(counts, part) == expected


@pytest.mark.real
def test_top_shows_what_a_broker_does(tmp_path: Path) -> None:
    options = ["--data", str(tmp_path), "--port", "0", "--metrics-port", "0"]
    command = [sys.executable, "-m", "tidings", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline() + process.stdout.readline()
            match = re.search(r"listens on (\S+:\d+);.*\nMetrics are at (\S+)\n", said)
            assert match
            producer = Producer({"bootstrap.servers": match[1]})
            producer.produce("news", b"1")
            assert producer.flush(PATIENCE_S) == 0
            arguments = ["top", match[2], "--interval", "0.01", "--count", "2"]
            result = CliRunner().invoke(main, arguments)
        finally:
            process.kill()
    assert result.exit_code == 0, result.output
    assert result.stdout.count(match[2]) == 2
    assert "records/s" in result.stdout
    assert "connections 1" in result.stdout or "connections 2" in result.stdout


def test_calls_are_shown_with_times_in_milliseconds() -> None:
    seen = overview({}, {}, 1.0)._replace(requests=[Calls("Produce", 1234.5, 0.001, None)])
    lines = [line.split() for line in screen("url", seen)]
    assert ["Produce", "1,234.5", "1.0", "ms", "-"] in lines


@pytest.mark.parametrize(
    ("url", "error"),
    [("https://127.0.0.1:1/metrics", "http://HOST:PORT"), ("http://127.0.0.1:1", "--metrics-port")],
)
def test_top_without_metrics_says_what_to_do(url: str, error: str) -> None:
    result = CliRunner().invoke(main, ["top", url])
    assert result.exit_code == 1
    assert error in result.stderr
