"""Nodes that misbehave, as real processes; and that nothing of them stays behind."""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from in_process import make_settings

from tidings.workbench import cluster as cluster_module
from tidings.workbench import processes, runner
from tidings.workbench.runner import Outcome, run
from tidings.workbench.settings import Fault
from tidings.workbench.spectators import PlainSpectator

pytestmark = pytest.mark.real

NODES = Path(__file__).parent / "nodes"
MEMORY_LOG = (sys.executable, str(NODES / "memory_log.py"))
INIT_OK = """echo '{"src":"n0","dest":"c0","body":{"type":"init_ok","in_reply_to":1}}'"""


def write_node(directory: Path, text: str, mode: int = 0o755) -> tuple[str]:
    file = directory / "node"
    file.write_text(text)
    file.chmod(mode)
    return (str(file),)


def shell_node(directory: Path, *lines: str) -> tuple[str]:
    return write_node(directory, "\n".join(["#!/bin/sh", *lines, ""]))


def run_command(store: Path, command: tuple[str, ...], **changes: object) -> Outcome:
    values: dict[str, object] = {
        "node_count": 1,
        "concurrency": 1,
        "rate": 50.0,
        "time_limit_s": 20.0,
        "recovery_s": 0.0,
        **changes,
    }
    settings = make_settings(command=command, store=store, **values)

    async def main() -> Outcome:
        return await run(settings, spectator=NOBODY, interrupt=asyncio.Event())

    return asyncio.run(main())


def _ignore(_: str) -> None:
    """Nobody watches."""


NOBODY = PlainSpectator(_ignore, _ignore)


def failure_of(store: Path, command: tuple[str, ...]) -> str:
    outcome = run_command(store, command)
    assert outcome.failure is not None
    return outcome.failure


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or goes within ten seconds; one that is ended needs a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_node_that_exits_at_once_is_reported_with_its_stderr(tmp_path: Path) -> None:
    command = shell_node(tmp_path, "echo no config found >&2", "exit 3")
    failure = failure_of(tmp_path, command)
    assert "node n0 exited by itself with status 3" in failure
    assert "no config found" in failure
    assert "no config found" in (tmp_path / "node-logs" / "n0.log").read_text()


def test_node_that_dies_of_a_signal_is_reported_by_its_name(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, shell_node(tmp_path, "kill -SEGV $$"))
    assert "exited by itself with signal SIGSEGV" in failure
    assert "It said nothing on stderr." in failure


def test_node_that_exits_later_is_reported(tmp_path: Path) -> None:
    command = shell_node(tmp_path, "read init", INIT_OK, "read request", "exit 0")
    assert "exited by itself with status 0" in failure_of(tmp_path, command)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("starting up...", "is no message"),
        ('{"src":"n0","body":{}}', "is no message"),
        ('{"src":"n0","dest":"c0"}', "is no message"),
        ('{"src":"n0","dest":"n9","body":{}}', "to n9, which does not exist"),
        ('{"src":"n0","dest":"n0","body":[]}', "whose body is not an object"),
        ('{"src":"n1","dest":"n0","body":{}}', "whose src is not n0"),
    ],
)
def test_node_that_prints_garbage_is_reported_with_the_line(
    tmp_path: Path, line: str, reason: str
) -> None:
    failure = failure_of(tmp_path, shell_node(tmp_path, f"echo '{line}'", "exec cat >/dev/null"))
    assert reason in failure
    assert line in failure
    assert "stderr" in failure


def test_node_that_prints_an_endless_line_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LINE_BYTES_MAX", 1000)
    command = shell_node(tmp_path, "head -c 2000 /dev/zero", "exec cat >/dev/null")
    assert "a line of more than 1000 bytes" in failure_of(tmp_path, command)


def test_node_that_never_answers_init_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "INIT_TIMEOUT_S", 0.2)
    failure = failure_of(tmp_path, shell_node(tmp_path, "echo waiting >&2", "exec cat >/dev/null"))
    assert "n0 did not answer its init with init_ok: no reply in time" in failure
    assert "waiting" in failure


def test_node_that_refuses_init_is_reported(tmp_path: Path) -> None:
    reply = INIT_OK.replace('"init_ok"', '"error","code":11,"text":"not today"')
    failure = failure_of(tmp_path, shell_node(tmp_path, "read init", reply, "exec cat >/dev/null"))
    assert "did not answer its init with init_ok: error 11: not today" in failure


@pytest.mark.parametrize(
    ("text", "mode"), [("#!/bin/sh\n", 0o644), ("#!/no/such/interpreter\n", 0o755)]
)
def test_node_that_cannot_be_executed_is_reported(tmp_path: Path, text: str, mode: int) -> None:
    failure = failure_of(tmp_path, write_node(tmp_path, text, mode))
    assert "node n0 did not start" in failure
    assert "--bin must name an executable file" in failure


def test_node_that_ignores_sigterm_ends_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "TERMINATION_S", 0.1)
    command = shell_node(
        tmp_path,
        "trap '' TERM",
        "sleep 1000 &",
        f"echo $! $$ > {tmp_path}/pids",
        "read init",
        INIT_OK,
        "while :; do read line || sleep 0.05; done",
    )
    outcome = run_command(tmp_path, command, rate=0.0, time_limit_s=0.1)
    assert outcome.failure is None
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(has_ended(pid) for pid in pids)


def test_node_that_exits_takes_what_it_started_with_it(tmp_path: Path) -> None:
    command = shell_node(tmp_path, "sleep 1000 &", f"echo $! > {tmp_path}/pids", "exit 1")
    assert "exited by itself with status 1" in failure_of(tmp_path, command)
    assert has_ended(int((tmp_path / "pids").read_text()))


def test_interrupted_run_ends_its_nodes_and_keeps_the_history(tmp_path: Path) -> None:
    settings = make_settings(
        command=MEMORY_LOG, store=tmp_path, node_count=2, concurrency=2, rate=200.0
    )

    async def main() -> Outcome:
        interrupt = asyncio.Event()
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if "operations" in line:
                asyncio.get_running_loop().call_later(0.3, interrupt.set)

        return await run(settings, spectator=PlainSpectator(say, _ignore), interrupt=interrupt)

    outcome = asyncio.run(main())
    assert outcome.is_interrupted
    assert outcome.failure is None
    assert outcome.history
    assert 0 < outcome.main_phase_s < settings.time_limit_s


@pytest.mark.parametrize("fault", [Fault.KILL, Fault.PAUSE])
def test_real_nodes_answer_again_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """The nodes keep nothing, so the verdict is not asked; that every node answers again is."""
    monkeypatch.setattr(runner, "CLIENT_TIMEOUT_S", 1.0)
    outcome = run_command(
        tmp_path,
        MEMORY_LOG,
        node_count=2,
        concurrency=2,
        time_limit_s=2.0,
        faults=(fault,),
        nemesis_interval_s=0.3,
        final_polls_s=1.0,
    )
    assert outcome.failure is None
    steps = [event for event in outcome.history if event.process == "nemesis"]
    assert len(steps) >= 2
    answered = {
        int(event.process) % 2
        for event in outcome.history[steps[-1].index + 1 :]
        if event.f == "poll" and event.type == "ok"
    }
    assert answered == {0, 1}


def test_stderr_is_echoed_under_the_name_of_its_node(tmp_path: Path) -> None:
    heard: list[str] = []
    command = shell_node(tmp_path, "echo hello >&2", "read init", INIT_OK, "exec cat >/dev/null")
    settings = make_settings(
        command=command,
        store=tmp_path,
        node_count=1,
        concurrency=1,
        rate=0.0,
        time_limit_s=0.1,
        recovery_s=0.0,
        log_stderr=True,
    )

    async def main() -> Outcome:
        return await run(
            settings,
            spectator=PlainSpectator(_ignore, heard.append),
            interrupt=asyncio.Event(),
        )

    assert asyncio.run(main()).failure is None
    assert heard == ["n0: hello"]


def test_signal_to_a_process_that_is_gone_is_harmless() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    processes._signal_group(pid, signal.SIGKILL)
