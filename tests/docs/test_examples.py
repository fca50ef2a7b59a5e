"""The files in `examples`: what they say is what a broker takes."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import databases
import pytest
import yaml
from click.testing import CliRunner
from confluent_kafka import Consumer, Producer
from obtaining import obtained

from tidings.cli import main
from tidings.kafka import serve
from tidings.kafka.cluster.place import ClusterPlace
from tidings.kafka.settings import BrokerSettings

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 60.0


class Told:
    """What `tidings serve` would begin with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = BrokerSettings()
        self.place: Path | ClusterPlace | None = None
        monkeypatch.setattr(serve, "run", self._run)

    def _run(
        self, settings: BrokerSettings, place: Path | ClusterPlace | None, **_: object
    ) -> None:
        self.settings, self.place = settings, place

    def by(self, words: Sequence[str], variables: Mapping[str, str]) -> ClusterPlace:
        """Take a command of a broker of a cluster."""
        assert words[0] == "serve"
        result = CliRunner().invoke(main, words, env=variables)
        assert result.exit_code == 0, result.output
        assert isinstance(self.place, ClusterPlace)
        return self.place


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


def test_brokers_of_the_compose_file_are_a_cluster_that_can_be_reached(told: Told) -> None:
    (found,) = documents("compose.yaml")
    services = found["services"]
    brokers = {name: each for name, each in services.items() if name.startswith("broker")}
    assert len(brokers) == 3
    user = services["database"]["environment"]["POSTGRES_USER"]
    password = services["database"]["environment"]["POSTGRES_PASSWORD"]
    for name, each in brokers.items():
        place = told.by(each["command"], each["environment"])
        assert place.order == f"postgres://{user}:{password}@database/{user}?sslmode=disable"
        assert place.gossip_advertised == (name, place.gossip_port)
        settings = told.settings
        assert settings.advertised_host == "127.0.0.1"
        assert settings.advertised_port == settings.port
        (inside,) = settings.listeners
        assert (inside.name, inside.advertised_host) == ("inside", name)
        assert inside.port == inside.advertised_port
        ports = [f"127.0.0.1:{port}:{port}" for port in (settings.port, settings.metrics_port)]
        assert each["ports"] == ports
    assert len({port for each in brokers.values() for port in each["ports"]}) == 6


def test_brokers_of_the_kubernetes_file_are_a_cluster_that_can_be_reached(told: Told) -> None:
    by_kind = {found["kind"]: found for found in documents("kubernetes.yaml")}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [each["name"] for each in container["env"]] == ["POD_IP", "NODE_IP"]
    words = [word.replace("$(POD_IP)", "10.0.0.1") for word in container["args"]]
    words = [word.replace("$(NODE_IP)", "10.9.9.9") for word in words]
    place = told.by(words, by_kind["Secret"]["stringData"])
    assert place.order.startswith("etcd://")
    assert place.secret
    settings = told.settings
    assert settings.advertised_host == "10.0.0.1"
    (outside,) = settings.listeners
    assert outside.advertised_host == "10.9.9.9"
    reached = {port["name"]: port["hostPort"] for port in container["ports"] if "hostPort" in port}
    assert reached == {"outside": outside.advertised_port}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {
        "kafka": settings.port,
        "outside": outside.port,
        "gossip": place.gossip_port,
        "metrics": settings.metrics_port,
    }
    assert by_kind["Service"]["spec"]["ports"] == [{"name": "kafka", "port": settings.port}]
    paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"/healthz", "/readyz"}
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_patience_s + 2
    selectors = [by_kind[kind]["spec"]["selector"] for kind in ("Service", "PodDisruptionBudget")]
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert selectors == [labels, {"matchLabels": labels}]


def unit_lines() -> dict[str, str]:
    lines = (EXAMPLES / "tidings.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def test_unit_begins_a_broker_with_the_settings_beside_it(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *words = shlex.split(unit_lines()["ExecStart"])
    assert Path(program).name == "tidings"
    settings = EXAMPLES / "tidings.toml"
    words = [str(settings) if word == "/etc/tidings/tidings.toml" else word for word in words]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert told.place == Path("/var/lib") / unit_lines()["StateDirectory"] / "data"
    assert told.settings.advertised_host == "broker-1.example"


def test_settings_that_are_commented_out_are_those_of_a_broker_among_others(
    told: Told, tmp_path: Path
) -> None:
    text = (EXAMPLES / "tidings.toml").read_text()
    text = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^data = .*\n", "", text, flags=re.MULTILINE)
    assert {"order", "blobs", "gossip_port"} <= set(tomllib.loads(text))
    file = tmp_path / "tidings.toml"
    file.write_text(text)
    assert told.by(["serve", "--config", str(file)], {}).gossip_port


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_unit_is_one_to_systemd(tmp_path: Path) -> None:
    program = tmp_path / "tidings"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "tidings.service"
    text = (EXAMPLES / "tidings.service").read_text()
    unit.write_text(text.replace("/opt/tidings/bin/tidings", str(program)))
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in ended.stderr.splitlines() if line.startswith("tidings.service")]
    assert complaints == []


# A cluster on this machine ----------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[str]:
    """Run PostgreSQL, and return its URL."""
    with obtained(databases.postgres) as server:
        yield databases.postgres_url(server.address)


@pytest.mark.real
def test_laptop_cluster_serves_and_ends_as_a_whole(store: str) -> None:
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORTS": "0 0 0",
        "METRICS_PORTS": "0 0 0",
    }
    command = [str(EXAMPLES / "laptop-cluster"), "--store", store]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=variables, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            addresses: list[str] = []
            while len(addresses) < 3:
                line = process.stdout.readline()
                assert line
                addresses += re.findall(r"listens on (\S+:\d+);", line)
            producer = Producer({"bootstrap.servers": addresses[0]})
            producer.produce("news", b"hello")
            assert producer.flush(PATIENCE_S) == 0
            consumer = Consumer(
                {
                    "bootstrap.servers": addresses[2],
                    "group.id": "readers",
                    "auto.offset.reset": "earliest",
                }
            )
            consumer.subscribe(["news"])
            (record,) = consumer.consume(1, PATIENCE_S)
            assert record.value() == b"hello"
            consumer.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            # This ends when all that it started have closed their ends.
            process.stdout.read()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.real
def test_laptop_cluster_without_stores_says_how_it_is_called() -> None:
    ended = subprocess.run(
        [str(EXAMPLES / "laptop-cluster")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "--store 'postgres://" in ended.stderr
