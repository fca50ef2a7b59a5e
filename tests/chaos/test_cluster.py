"""A short run of `make chaos-cluster`, and whether what is beside the judge sees what is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import cluster_run
import pytest
from chaos_broker import START_PATIENCE_S, BrokerProcess
from chaos_history import NEMESIS, Recorder
from chaos_judge import RECOVERY_S, judge
from cluster_figures import START, STOP
from cluster_nemesis import Nemesis
from cluster_reads import missing
from cluster_servers import Cluster, Member
from databases import Server
from hosts import LOOPBACK, Network, why_not
from obtaining import needed

from tidings.checker.history import EventType
from tidings.types import Json

HERE = Path(__file__).parent

PATIENCE_S = 600.0

Line = tuple[float, EventType, int | str, str, Json]


def needs(store: str) -> None:
    """Skip where there can be no namespaces; and where a server is missing, but in CI fail."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with needed():
        cluster_run.obtain(store)


@pytest.mark.real
@pytest.mark.parametrize(
    ("store", "java"), [("etcd", []), ("postgres", ["--no-java"])], ids=["etcd", "postgres"]
)
def test_cluster_under_faults_loses_and_repeats_nothing(
    tmp_path: Path, store: str, java: list[str]
) -> None:
    needs(store)
    options = ["--minutes", "0.4", "--rate", "10", "--keep", str(tmp_path / "run"), *java]
    done = subprocess.run(
        [sys.executable, str(HERE / "cluster_run.py"), "--store", store, *options],
        env={**os.environ, "PYTHONPATH": str(HERE.parent / "servers")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VALID" in done.stdout.splitlines()
    assert (tmp_path / "run" / "history.jsonl.gz").exists()


class Clock:
    """Tells the time that a test wants."""

    now_s = 0.0

    def __call__(self) -> int:
        return int(self.now_s * 1e9)


@pytest.mark.parametrize(
    ("sent_at_s", "findings"), [(2, []), (9 + RECOVERY_S, []), (11 + RECOVERY_S, ["copies"])]
)
def test_judge_copy_of_what_was_sent_in_a_fault_or_shortly_after_is_explained(
    sent_at_s: float, findings: list[str]
) -> None:
    clock = Clock()
    recorder = Recorder(clock)
    fault = {"number": 0, "kind": "cut", "on": "b1"}
    copies: Json = [["poll", {"retrying/0": [[0, 5], [1, 5]]}]]
    lines: list[Line] = [
        (1, "info", NEMESIS, START, fault),
        (10, "info", NEMESIS, STOP, fault),
        (sent_at_s, "invoke", 1, "send", [["send", "retrying/0", 5]]),
        (sent_at_s, "ok", 1, "send", [["send", "retrying/0", [1, 5]]]),
        (100, "invoke", 2, "poll", [["poll"]]),
        (100, "ok", 2, "poll", copies),
    ]
    for clock.now_s, type_, process, f, value in sorted(lines, key=lambda line: line[0]):
        recorder.note(type_, process, f, value)
    judgement = judge(recorder.events())
    assert [text.partition(":")[0] for text in judgement.findings] == findings


def test_missing_says_what_a_broker_does_not_give() -> None:
    recorder = Recorder(lambda: 0)
    for offset in range(3):
        recorder.note("invoke", offset, "send", [["send", "once/0", offset + 10]])
        recorder.note("ok", offset, "send", [["send", "once/0", [offset, offset + 10]]])
    recorder.note("invoke", 8, "send", [["send", "once/0", 12]])
    recorder.note("ok", 8, "send", [["send", "once/0", [-1001, 12]]])
    recorder.note("invoke", 9, "send", [["send", "once/0", 99]])
    recorder.note("info", 9, "send", [["send", "once/0", 99]])
    history = recorder.events()
    assert missing(history, {"once/0": [(0, 10), (1, 11), (2, 12)]}) == []
    (text,) = missing(history, {"once/0": [(0, 10), (1, 12)]})
    assert text == "does not give 2 acknowledged records of once/0, such as message 11"
    assert len(missing(history, {})) == 1


def a_cluster(tmp_path: Path, program: str) -> Cluster:
    """Return a cluster of one broker, which runs this program and has run to its end."""
    broker = BrokerProcess("127.0.0.1:1", [], tmp_path / "log", ["-c", program])
    broker.start()
    while broker.exit_status() is None:
        pass
    member = Member("b1", LOOPBACK, broker, tmp_path / "clock")
    return Cluster(cast("Network", None), [member], [], cast("Server", None))


def complaints_of(cluster: Cluster) -> list[str]:
    recorder = Recorder()
    nemesis = Nemesis(cluster, recorder, print)
    nemesis.look_after_brokers()
    return [event.value for event in recorder.events() if event.f == "complaint"]


def test_nemesis_broker_that_was_ready_and_ended_is_a_finding_and_is_started_again(
    tmp_path: Path,
) -> None:
    cluster = a_cluster(tmp_path, "print('listens on')")
    before = cluster.members[0].broker.exit_status()
    assert complaints_of(cluster) == ["b1 ended by itself, with 0: see its log"]
    assert before == 0
    assert cluster.members[0].broker.is_ready_within(START_PATIENCE_S)
    cluster.members[0].broker.kill()


def test_nemesis_broker_that_never_was_ready_is_started_again(tmp_path: Path) -> None:
    note = tmp_path / "starts"
    cluster = a_cluster(tmp_path, f"open({str(note)!r}, 'a').write('x')")
    assert complaints_of(cluster) == []
    while cluster.members[0].broker.exit_status() is None:
        pass
    assert note.read_text() == "xx"
    cluster.members[0].broker.kill()
