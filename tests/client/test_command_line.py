"""`tidings topics`, `produce`, `consume` and `groups`, against a real broker."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer

from tidings.cli import main
from tidings.embedded import NewRecord
from tidings.testing import broker
from tidings.testing.real_broker import RunningBroker

pytestmark = pytest.mark.real

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningBroker]:
    with broker() as running:
        yield running


@pytest.fixture
def kafka(shared: RunningBroker) -> Iterator[RunningBroker]:
    shared.reset()
    yield shared
    shared.clear_faults()


Run = Callable[..., Result]


@pytest.fixture
def run(kafka: RunningBroker) -> Run:
    """Run a command against the broker; it must succeed unless `status` says otherwise."""

    def run_it(*arguments: str, status: int = 0, given: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(
            main, [*arguments, "--broker", kafka.bootstrap_servers], input=given
        )
        assert result.exit_code == status, result.output
        return result

    return run_it


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def documents(result: Result) -> list[Any]:
    return [msgspec.json.decode(line) for line in result.stdout.splitlines()]


# Topics -----------------------------------------------------------------------------------------


def test_topics_are_created_listed_described_and_deleted(run: Run, kafka: RunningBroker) -> None:
    run("topics", "create", "news", "--partitions", "2", "--config", "retention.ms=1000")
    run("topics", "create", "letters")
    kafka.append("news", [b"1", b"2"], partition=1)
    assert lines(run("topics", "list")) == [
        ["TOPIC", "PARTITIONS"],
        ["letters", "1"],
        ["news", "2"],
    ]
    assert lines(run("topics", "describe", "news")) == [
        ["PARTITION", "LEADER", "REPLICAS", "FIRST", "END", "RECORDS"],
        ["0", "1", "1", "0", "0", "0"],
        ["1", "1", "1", "0", "2", "2"],
        ["retention.ms=1000"],
    ]
    run("topics", "delete", "letters")
    assert documents(run("topics", "list", "--json")) == [[{"topic": "news", "partitions": 2}]]


def test_topic_in_json_says_what_the_table_says(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news", configs={"retention.ms": "1000"})
    (found,) = documents(run("topics", "describe", "news", "--json"))
    assert found["configs"] == {"retention.ms": "1000"}
    assert found["partitions"] == [
        {"partition": 0, "leader": 1, "replicas": [1], "log_start_offset": 0, "end_offset": 0}
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["topics", "describe", "gone"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["topics", "delete", "gone"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["topics", "create", "no spaces"], "INVALID_TOPIC_EXCEPTION"),
        (["topics", "create", "news"], "TOPIC_ALREADY_EXISTS"),
        (["topics", "create", "new", "--config", "colour=blue"], "INVALID_CONFIG"),
        (["topics", "create", "new", "--replicas", "3"], "INVALID_REPLICATION_FACTOR"),
        (["consume", "gone"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (["consume", "news", "--from", "7"], "from 0 to below 0"),
        (["consume", "wide", "--from", "0"], "--partition"),
        (["consume", "news", "--partition", "7"], "no partition 7"),
        (["groups", "delete", "gone"], "GROUP_ID_NOT_FOUND"),
    ],
    ids=str,
)
def test_what_the_broker_refuses_ends_with_status_1_and_says_why(
    run: Run, kafka: RunningBroker, arguments: list[str], error: str
) -> None:
    kafka.create_topic("news")
    kafka.create_topic("wide", partitions=2)
    assert error in run(*arguments, status=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics", "list", "--broker", "nowhere"],
        ["topics", "create", "news", "--config", "retention.ms"],
        ["consume", "news", "--from", "yesterday"],
    ],
    ids=" ".join,
)
def test_what_is_no_command_ends_with_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_broker_that_cannot_be_reached_is_named() -> None:
    with broker() as gone:
        address = gone.bootstrap_servers
    result = CliRunner().invoke(main, ["topics", "list"], env={"TIDINGS_BROKER": address})
    assert result.exit_code == 1
    assert f"no broker can be reached at {address}" in result.stderr


# Records ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_are_produced_and_consumed(run: Run, kafka: RunningBroker, compression: str) -> None:
    given = "".join(f"line {number}\n" for number in range(2500))
    done = run("produce", "news", "--compression", compression, given=given)
    assert "2500 records acknowledged" in done.stderr
    assert len(kafka.records("news")) == 2500
    assert run("consume", "news").stdout == given


def test_produced_records_have_keys_and_headers(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news", partitions=8)
    run("produce", "news", "--key-separator", ":", "--header", "h=1", given="a:1\nb:2\na:3")
    run("produce", "news", "--key", "a", given="4:5\n")
    records = kafka.records("news")
    of_a = [record for record in records if record.key == b"a"]
    assert [record.value for record in of_a] == [b"1", b"3", b"4:5"]
    assert len({record.partition for record in of_a}) == 1
    assert of_a[0].headers == (("h", b"1"),)
    assert sorted(run("consume", "news", "--keys").stdout.splitlines()) == [
        "a\t1",
        "a\t3",
        "a\t4:5",
        "b\t2",
    ]


def test_a_great_many_short_lines_fit_their_batches(run: Run, kafka: RunningBroker) -> None:
    run("produce", "news", given="x\n" * 150_000)
    assert len(kafka.records("news")) == 150_000


def test_line_is_produced_though_no_other_follows(kafka: RunningBroker) -> None:
    kafka.create_topic("news")
    arguments = ["produce", "news", "--broker", kafka.bootstrap_servers]
    command = [sys.executable, "-m", "tidings", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(b"one\ntwo")
        process.stdin.flush()
        while not kafka.records("news"):
            assert process.poll() is None
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0
    assert [record.value for record in kafka.records("news")] == [b"one", b"two"]


def test_line_without_the_separator_is_refused(run: Run) -> None:
    assert "':'" in run("produce", "news", "--key-separator", ":", given="one", status=1).stderr


def test_records_in_json_keep_what_is_no_text(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news")
    headers = [("h", b"\xff"), ("n", None)]
    kafka.append("news", [NewRecord(None, b"k", headers, timestamp_ms=5), b"\xfe"])
    gone, bytes_ = documents(run("consume", "news", "--json"))
    assert gone == {
        "partition": 0,
        "offset": 0,
        "timestamp": 5,
        "key": "k",
        "value": None,
        "headers": [["h", {"base64": "/w=="}], ["n", None]],
    }
    assert bytes_["value"] == {"base64": "/g=="}


@pytest.mark.parametrize(
    ("start", "values"),
    [
        ("beginning", ["0", "1", "2"]),
        ("1", ["1", "2"]),
        ("1970-01-01T00:00:02+00:00", ["2"]),
        ("end", []),
        ("2030-01-01", []),
    ],
)
def test_consume_begins_where_it_is_told(
    run: Run, kafka: RunningBroker, start: str, values: list[str]
) -> None:
    kafka.create_topic("news")
    kafka.append("news", [NewRecord(b"%d" % n, timestamp_ms=1000 * n) for n in range(3)])
    assert run("consume", "news", "--from", start).stdout.splitlines() == values


def test_consume_follows_until_it_has_enough(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news", partitions=2)
    kafka.append("news", [b"first"], partition=0)
    later = threading.Timer(0.01, lambda: kafka.append("news", [b"second"], partition=1))
    later.start()
    assert run("consume", "news", "--follow", "--count", "2").stdout == "first\nsecond\n"
    later.join()


# Groups -----------------------------------------------------------------------------------------


def test_group_goes_on_where_it_stopped_and_is_shown(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news")
    kafka.append("news", [b"0", b"1", b"2"])
    assert run("consume", "news", "--group", "g", "--count", "2").stdout == "0\n1\n"
    assert kafka.committed("g", "news") == {0: 2}
    assert lines(run("groups", "describe", "g")) == [
        ["g:", "Empty,", "members:", "none"],
        ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"],
        ["news", "0", "2", "3", "1"],
    ]
    assert run("consume", "news", "--group", "g").stdout == "2\n"
    assert lines(run("groups", "list")) == [["GROUP", "STATE", "MEMBERS"], ["g", "Empty", "0"]]
    run("groups", "delete", "g")
    assert documents(run("groups", "list", "--json")) == [[]]


def test_group_with_members_is_shown_and_left_alone(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news")
    kafka.append("news", [b"0"])
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "g",
            "client.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["news"])
    assert consumer.consume(1, PATIENCE_S)
    (found,) = documents(run("groups", "describe", "g", "--json"))
    assert (found["state"], found["members"]) == ("Stable", ["reader@127.0.0.1"])
    assert "UNKNOWN_MEMBER_ID" in run("consume", "news", "--group", "g", status=1).stderr
    assert "NON_EMPTY_GROUP" in run("groups", "delete", "g", status=1).stderr
    consumer.close()


# Trouble ----------------------------------------------------------------------------------------


def test_produce_sends_nothing_twice_and_says_how_far_it_came(
    run: Run, kafka: RunningBroker
) -> None:
    kafka.create_topic("news")
    with kafka.cut_before_reply("Produce"):
        failed = run("produce", "news", given="one\n", status=1)
    assert "0 records acknowledged" in failed.stderr
    assert "lost" in failed.stderr
    assert len(kafka.records("news")) == 1


def test_coordinator_that_is_loading_is_waited_for(run: Run, kafka: RunningBroker) -> None:
    kafka.create_topic("news")
    with (
        kafka.fail("FindCoordinator", "COORDINATOR_NOT_AVAILABLE") as choosing,
        kafka.fail("OffsetFetch", "COORDINATOR_LOAD_IN_PROGRESS") as loading,
    ):
        run("groups", "describe", "g")
    assert (choosing.hits, loading.hits) == (1, 1)
