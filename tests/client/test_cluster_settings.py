"""What a broker is told to be one of several, and what is said of settings that do not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from tidings.cli import main
from tidings.kafka import serve
from tidings.kafka.cluster.place import ClusterPlace
from tidings.kafka.settings import BrokerSettings

ORDER = "etcd://user:word@one:2379,two:2379"
BLOBS = "s3://bucket/path?region=nowhere"
POSTGRES = "postgres://user:word@host/database?sslmode=disable"
SECRET = "a secret of some more than 16 bytes"


class Started(NamedTuple):
    settings: BrokerSettings
    place: Path | ClusterPlace | None


class Command:
    """`tidings serve`, with nothing behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._started: list[Started] = []

        def run(settings: BrokerSettings, place: Path | ClusterPlace | None, **_: object) -> None:
            self._started.append(Started(settings, place))

        monkeypatch.setattr(serve, "run", run)

    def __call__(self, *options: str, variables: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, ["serve", *options], env=variables)

    def place(self, *options: str, variables: Mapping[str, str] | None = None) -> ClusterPlace:
        result = self(*options, variables=variables)
        assert result.exit_code == 0, result.output
        place = self._started.pop().place
        assert isinstance(place, ClusterPlace)
        return place

    def refused(self, *options: str, variables: Mapping[str, str] | None = None) -> str:
        result = self(*options, variables=variables)
        assert result.exit_code == 2, result.output
        assert not self._started
        return " ".join(result.output.split())


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(monkeypatch)


@pytest.mark.parametrize(
    "options",
    [
        ["--order", "etcd://user:word@[::1", "--blobs", BLOBS],
        ["--order", ORDER, "--blobs", "s3://user:word@[::1"],
        ["--store", "postgres://user:word@[::1/database"],
    ],
)
def test_url_that_is_none_is_refused_without_its_password(
    command: Command, options: list[str]
) -> None:
    said = command.refused(*options)
    assert "The URL of a store is none" in said
    assert "word" not in said


def test_two_stores_make_a_cluster(command: Command) -> None:
    place = command.place("--order", ORDER, "--blobs", BLOBS)
    assert (place.order, place.blobs, place.node_id, place.secret) == (ORDER, BLOBS, None, None)


def test_postgres_is_both_stores(command: Command) -> None:
    place = command.place("--store", POSTGRES)
    assert place.order == place.blobs == POSTGRES


def test_stores_are_named_without_what_lets_one_in(command: Command) -> None:
    place = command.place("--order", ORDER, "--blobs", BLOBS)
    assert str(place) == "etcd://one:2379,two:2379 and s3://bucket/path"
    assert str(command.place("--store", POSTGRES)) == "postgres://host/database"
    assert "word" not in repr(place)


def test_everything_of_a_cluster_is_told(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    options = ["--order", ORDER, "--blobs", BLOBS, "--node-id", "1", "--rack", "r"]
    options += ["--gossip-port", "9094", "--gossip-advertise", "inside:1"]
    place = command.place(*options, "--cluster-secret-file", str(file))
    assert (place.node_id, place.rack, place.gossip_port) == (1, "r", 9094)
    assert place.gossip_advertised == ("inside", 1)
    assert place.secret == SECRET.encode()
    assert SECRET not in repr(place)


def test_secret_may_stand_in_the_environment(command: Command) -> None:
    variables = {"TIDINGS_CLUSTER_SECRET": SECRET}
    assert command.place("--store", POSTGRES, variables=variables).secret == SECRET.encode()


def test_cluster_may_stand_in_the_environment(command: Command) -> None:
    variables = {"TIDINGS_SERVE_STORE": POSTGRES, "TIDINGS_SERVE_NODE_ID": "7"}
    place = command.place(variables=variables)
    assert (place.order, place.node_id) == (POSTGRES, 7)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--order", ORDER], "Say with --blobs where the bytes are"),
        (["--blobs", BLOBS], "Say with --order where their order is"),
        (["--store", ORDER], "say --order and --blobs"),
        (["--store", POSTGRES, "--order", ORDER], "--store and --order contradict each other"),
        (["--store", POSTGRES, "--data", "d"], "--store and --data contradict each other"),
        (["--store", POSTGRES, "--memory"], "--store and --memory contradict each other"),
        (["--order", "redis://h", "--blobs", BLOBS], "redis: is no order store"),
        (["--order", ORDER, "--blobs", "ftp://h"], "ftp: is no blob store"),
        (["--rack", "r"], "--rack means something only for one of several brokers"),
        (["--gossip-port", "1"], "--gossip-port means something only"),
        (["--store", POSTGRES, "--gossip-advertise", "host"], "'host' is no address"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    command: Command, options: list[str], told: str
) -> None:
    assert told in command.refused(*options)


def test_secret_that_is_too_short_is_refused_and_not_told(command: Command) -> None:
    said = command.refused("--store", POSTGRES, variables={"TIDINGS_CLUSTER_SECRET": "tiny"})
    assert "take 16 or more" in said
    assert "tiny" not in said


def test_broker_that_listens_everywhere_must_say_where_it_is() -> None:
    options = ["--store", "postgres://127.0.0.1:1/x", "--host", "0.0.0.0"]
    result = CliRunner().invoke(main, ["serve", *options])
    assert result.exit_code == 2
    assert "--advertise HOST:PORT" in result.output
    options = ["--store", "postgres://127.0.0.1:1/x", "--listen", "outside=0.0.0.0:1"]
    result = CliRunner().invoke(main, ["serve", *options])
    assert result.exit_code == 2
    assert "--advertise outside=HOST:PORT" in result.output
