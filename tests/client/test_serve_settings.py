"""Where the settings of `tidings serve` come from, and what is said of bad ones."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from tidings.cli import main
from tidings.cli.serve_settings import FIELDS, SERVE_SETTINGS
from tidings.kafka import serve
from tidings.kafka.settings import BrokerSettings, ListenerSettings


class Started(NamedTuple):
    settings: BrokerSettings
    data: Path | None


class Command:
    """`tidings serve`, with nothing behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
        self._file = file
        self._started: list[Started] = []

        def run(settings: BrokerSettings, data: Path | None, **_: object) -> None:
            self._started.append(Started(settings, data))

        monkeypatch.setattr(serve, "run", run)

    def __call__(
        self, *options: str, file: str | None = None, variables: Mapping[str, str] | None = None
    ) -> Result:
        named = []
        if file is not None:
            self._file.write_text(file)
            named = ["--config", str(self._file)]
        return CliRunner().invoke(main, ["serve", *named, *options], env=variables)

    def started(self, *options: str, **told: object) -> Started:
        result = self(*options, **told)  # type: ignore[arg-type] # they are those of __call__
        assert result.exit_code == 0, result.output
        return self._started.pop()

    def refused(self, *options: str, **told: object) -> str:
        result = self(*options, **told)  # type: ignore[arg-type] # they are those of __call__
        assert result.exit_code == 2, result.output
        assert not self._started
        return result.output


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return Command(monkeypatch, tmp_path / "tidings.toml")


def test_nothing_said_gives_the_defaults(command: Command) -> None:
    assert command.started() == (BrokerSettings(), Path("tidings-data"))


def test_option_counts_more_than_environment_more_than_file(command: Command) -> None:
    file = "port = 1\npartitions = 2\nretention_ms = 3\nauto_create = false"
    variables = {"TIDINGS_SERVE_PORT": "4", "TIDINGS_SERVE_PARTITIONS": "5"}
    settings, _ = command.started("--port", "6", file=file, variables=variables)
    assert (settings.port, settings.num_partitions, settings.retention_ms) == (6, 5, 3)
    assert not settings.auto_create_topics


def test_environment_names_the_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('data = "there"')
    assert command.started(variables={"TIDINGS_SERVE_CONFIG": str(file)}).data == Path("there")


def test_every_field_of_the_broker_can_be_told(command: Command) -> None:
    fields = {
        field.name: getattr(BrokerSettings(), field.name)
        for field in dataclasses.fields(BrokerSettings)
    }
    lines = ['advertise = "log.example:19092"', 'listen = "outside=0.0.0.0:19092"']
    for key, field in FIELDS.items():
        match fields[field]:
            case bool(default):
                lines.append(f"{key} = {str(not default).lower()}")
            case str():
                lines.append(f'{key} = "::1"')
            case None:
                lines.append(f"{key} = 9464")
            case int(default) | float(default):
                lines.append(f"{key} = {default + 1}")
            case other:
                pytest.fail(f"nobody says how to change {other}")
    settings, _ = command.started(file="\n".join(lines))
    for name, default in fields.items():
        assert getattr(settings, name) != default, name


OUTSIDE = "outside=0.0.0.0:19092"


def test_listeners_have_names_and_what_clients_are_told_there(command: Command) -> None:
    options = ["--listen", f"{OUTSIDE}, vpn=[::1]:0"]
    settings, _ = command.started(*options, "--advertise", "inside:9,outside=log.example:7")
    assert (settings.advertised_host, settings.advertised_port) == ("inside", 9)
    outside, vpn = settings.listeners
    assert outside == ListenerSettings("outside", "0.0.0.0", 19092, "log.example", 7)
    assert vpn == ListenerSettings("vpn", "::1", 0)


def test_listeners_may_stand_in_the_environment_and_in_a_file(command: Command) -> None:
    variables = {"TIDINGS_SERVE_LISTEN": OUTSIDE, "TIDINGS_SERVE_ADVERTISE": "outside=a:1"}
    by_variable = command.started(variables=variables).settings
    by_file = command.started(file=f'listen = "{OUTSIDE}"\nadvertise = "outside=a:1"').settings
    assert by_variable == by_file
    assert by_file.listeners[0].advertised_host == "a"
    assert by_file.advertised_host is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "0.0.0.0:1"], "names no listener"),
        (["--listen", "a=nowhere"], "'a=nowhere' is no address"),
        (["--listen", "a b=h:1"], "'a b=h:1' is no address"),
        (["--listen", "=h:1"], "'=h:1' is no address"),
        (["--listen", "a=h:1,"], "'' is no address"),
        (["--listen", "a=h:1,a=h:2"], "two addresses for one listener"),
        (["--advertise", "h:1,h:2"], "two addresses for one listener"),
        (["--advertise", "h:0"], "'h:0' is no address"),
        (["--advertise", "outside=h:1"], "Say --listen outside=HOST:PORT as well"),
    ],
)
def test_listeners_that_make_no_sense_are_refused(
    command: Command, options: list[str], told: str
) -> None:
    assert told in " ".join(command.refused(*options).split())


def test_every_setting_has_a_variable(command: Command) -> None:
    bad = {"data": __file__}
    for setting in SERVE_SETTINGS:
        if setting.key != "host":
            value = bad.get(setting.key, "§")
            said = command.refused(variables={setting.variable: value})
            assert f"{setting.variable} in the environment" in said


def test_empty_variable_is_none(command: Command) -> None:
    assert command.started(variables={"TIDINGS_SERVE_PORT": ""}).settings.port == 9092


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("TIDINGS_SERVE_PROT", "TIDINGS_SERVE_PORT"), ("TIDINGS_SERVE_ZZZ", "--help names all")],
)
def test_variable_that_is_no_setting_is_refused(command: Command, name: str, nearest: str) -> None:
    said = command.refused(variables={name: "1"})
    assert f"{name} in the environment is no setting. " in said
    assert nearest in said


def test_variables_of_the_surroundings_are_not_settings(command: Command) -> None:
    """Kubernetes sets such ones beside a service that is called tidings."""
    variables = {"TIDINGS_PORT": "tcp://10.0.0.1:9092", "TIDINGS_SERVICE_HOST": "10.0.0.1"}
    assert command.started(variables=variables).settings == BrokerSettings()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("metrics-port = 9464", "no setting. Did you mean metrics_port?"),
        ("[server]\nport = 1", "server in "),
        ("port = 99999", "port in "),
        ("port = 1.5", "1.5 is not a whole number"),
        ("port = true", "True is not a whole number"),
        ('port = "9092"', "'9092' is not a whole number"),
        ("auto_create = 1", "1 is not true or false"),
        ("data = 7", "7 is not a text in quotes"),
        ("shutdown_timeout = nan", "shutdown_timeout in "),
        ("idle_timeout = 0", "idle_timeout in "),
        ('advertise = "nowhere"', "Say HOST:PORT"),
        ("port = ", "is no TOML"),
        ("group_session_timeout_min_ms = 2_000_000", "Change one of them"),
    ],
)
def test_bad_line_of_a_file_is_refused_and_named(
    command: Command, file: str, expected: str
) -> None:
    said = " ".join(command.refused(file=file).split())
    assert expected in said


def test_bad_option_is_refused_by_its_name(command: Command) -> None:
    assert "for --port: 'x' is not" in command.refused("--port", "x")


def test_memory_and_a_folder_contradict(command: Command) -> None:
    said = command.refused("--data", "there", file="memory = true")
    assert "memory in " in said
    assert "--data contradict" in " ".join(said.split())
    there = command.started("--data", "there", "--no-memory", file="memory = true")
    assert there.data == Path("there")
    assert command.started("--memory").data is None
