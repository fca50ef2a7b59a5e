"""What `tidings challenge` and `tidings check` do, with real processes."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from in_process import make_settings

import tidings
from tidings import cli
from tidings.cli import challenge as options
from tidings.workbench.challenge import challenge, check_file
from tidings.workbench.spectators import PlainSpectator

NODES = Path(__file__).parent / "nodes"
CLI = (sys.executable, "-m", "tidings")


def ignore(_: str) -> None:
    """Nobody watches."""


def run_log(store: Path, *arguments: str) -> tuple[int, str]:
    """Run the in-memory log briefly; return the exit status and what was said."""
    said: list[str] = []
    settings = make_settings(
        command=(sys.executable, str(NODES / "memory_log.py"), *arguments),
        store=store,
        node_count=1,
        concurrency=4,
        rate=200.0,
        time_limit_s=1.5,
        recovery_s=0.0,
        final_polls_s=1.0,
        seed=1,
    )
    return challenge(settings, PlainSpectator(said.append, ignore)), "\n".join(said)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


@pytest.mark.real
def test_challenge_correct_log_is_valid(tmp_path: Path) -> None:
    status, text = run_log(tmp_path)
    assert (status, text.splitlines()[-1]) == (0, "VALID")
    results: dict[str, Any] = json.loads((tmp_path / "results.json").read_text())
    assert results["valid"] is True
    assert results["settings"]["seed"] == 1
    assert results["figures"]["kinds"]["send"]["ok"] > 50
    assert (tmp_path / "node-logs" / "n0.log").exists()


@pytest.mark.real
def test_challenge_log_that_loses_writes_is_invalid(tmp_path: Path) -> None:
    status, text = run_log(tmp_path, "10")
    assert status == 1
    assert text.splitlines()[-1].startswith("INVALID: ")
    assert "lost-write" in text
    assert json.loads((tmp_path / "results.json").read_text())["valid"] is False


@pytest.mark.real
def test_check_of_the_saved_history_says_the_same(tmp_path: Path) -> None:
    status, text = run_log(tmp_path, "10")
    said: list[str] = []
    assert check_file(tmp_path / "history.jsonl", say=said.append) == status == 1
    assert said[-1].splitlines()[-1] == text.splitlines()[-1]


@pytest.mark.real
def test_cli_challenge_valid_run_exits_0(tmp_path: Path) -> None:
    options = "--node-count 1 --concurrency 2n --time-limit 0.5 --rate 50 --recovery-time 0"
    result = subprocess.run(
        [
            *CLI,
            "challenge",
            "--bin",
            NODES / "memory_log.py",
            *options.split(),
            "--store",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "VALID" in result.stdout


@pytest.mark.real
def test_cli_challenge_node_that_fails_exits_2(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho sorry >&2\nexit 1\n")
    node.chmod(0o755)
    result = subprocess.run(
        [*CLI, "challenge", "--bin", node, "--node-count", "1", "--store", tmp_path / "store"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "could not run: node n0 exited by itself with status 1" in result.stdout
    assert "sorry" in result.stdout


@pytest.mark.real
def test_cli_challenge_interrupt_judges_what_happened_and_exits_130(tmp_path: Path) -> None:
    command = [*CLI, "challenge", "--bin", str(NODES / "memory_log.py"), "--node-count", "1"]
    with subprocess.Popen(
        [*command, "--store", str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "operations" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait() == 130
    assert "interrupted" in rest
    assert (tmp_path / "history.jsonl").exists()


def test_cli_optimized_python_is_refused() -> None:
    result = subprocess.run(
        [sys.executable, "-O", "-m", "tidings", "maelstrom"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "-O" in result.stderr


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--workload echo", "'echo' is not 'kafka'"),
        ("--bin /no/such/file", "does not exist"),
        ("--design best", "Choose one of journal"),
        ("--concurrency n", "Say 10, or 2n"),
        ("--concurrency 0", "Say 10, or 2n"),
        ("--nemesis partition,quake", "'quake' is no fault"),
        ("--nemesis partition --partition thirds", "'thirds' is no kind of partition"),
        ("--node-count 0", "x>=1"),
        ("--time-limit 0", "x>0"),
        ("--latency -1", "x>=0"),
        ("--latency-dist normal", "constant"),
        ("-- --verbose", "Add --bin"),
    ],
)
def test_cli_challenge_bad_option_exits_2_with_advice(options: str, advice: str) -> None:
    result = invoke("challenge", *options.split())
    assert result.exit_code == 2
    assert advice in result.output


def test_cli_challenge_file_without_execute_permission_exits_2(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\n")
    node.chmod(0o644)
    result = invoke("challenge", "--bin", str(node))
    assert result.exit_code == 2
    assert "chmod +x" in result.output


def test_cli_challenge_store_that_cannot_be_made_exits_2(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = invoke("challenge", "--store", str(blocked / "store"))
    assert result.exit_code == 2
    assert "Name another directory" in result.output


@pytest.mark.parametrize(
    ("text", "node_count", "workers"), [("10", 5, 10), ("2n", 5, 10), ("1n", 3, 3), ("1", 3, 1)]
)
def test_cli_concurrency_is_absolute_or_per_node(text: str, node_count: int, workers: int) -> None:
    assert options._concurrency(None, None, text)(node_count) == workers  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "names"),
    [("none", ()), ("", ()), ("kill", ("kill",)), ("kill, pause,kill", ("kill", "pause"))],
)
def test_cli_nemesis_is_a_list_with_commas(text: str, names: tuple[str, ...]) -> None:
    assert options._faults(None, None, text) == names  # type: ignore[arg-type]


def test_cli_check_of_no_history_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text("no event\n")
    result = invoke("check", str(file))
    assert result.exit_code == 2
    assert "line 1" in result.output


def test_cli_version_is_the_package_s() -> None:
    assert invoke("--version").output == f"tidings {tidings.__version__}\n"


def test_cli_node_starts_without_the_workbench() -> None:
    program = (
        "import sys, tidings.cli.maelstrom; print(sorted(m for m in sys.modules if 'tidings' in m))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "workbench" not in output
    assert "checker" not in output
