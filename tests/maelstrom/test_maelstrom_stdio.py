"""Real processes: the launchers, stdin of every kind, stdout that breaks, signals."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from tidings.maelstrom.designs import MODULES

BIN = Path(__file__).parents[2] / "bin"
TIMEOUT_S = 20

pytestmark = pytest.mark.real

INIT = (
    b'{"src":"c0","dest":"n0","body":{"type":"init","msg_id":1,"node_id":"n0","node_ids":["n0"]}}\n'
)
SEND = b'{"src":"c0","dest":"n0","body":{"type":"send","msg_id":2,"key":"k","msg":"m"}}\n'


def command(design: str = "naive") -> list[str]:
    return [sys.executable, "-m", "tidings.maelstrom", design]


def output_of(text: bytes, *, arguments: list[str] | None = None) -> list[dict[str, Any]]:
    done = subprocess.run(
        arguments or command(), input=text, capture_output=True, timeout=TIMEOUT_S, check=True
    )
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


@contextmanager
def process(stdin: int | IO[bytes] = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command(), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as node:
        try:
            yield node
        finally:
            node.kill()


def first_reply(node: subprocess.Popen[bytes]) -> Any:
    assert node.stdout is not None
    return msgspec.json.decode(node.stdout.readline())["body"]


@pytest.mark.parametrize("design", MODULES)
def test_launcher_from_any_directory_and_through_a_link_answers_init(
    design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (BIN.parent / ".venv").exists():
        pytest.skip("launchers need `make setup`")
    (tmp_path / "link").symlink_to(BIN / f"tidings-maelstrom-{design}")
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    [reply, *_] = output_of(INIT, arguments=["./link"])
    assert reply["body"] == {"type": "init_ok", "in_reply_to": 1}


def test_launcher_without_its_environment_says_what_to_do(tmp_path: Path) -> None:
    launcher = tmp_path / "bin" / "tidings-maelstrom"
    launcher.parent.mkdir()
    launcher.write_bytes((BIN / "tidings-maelstrom").read_bytes())
    launcher.chmod(0o755)
    done = subprocess.run([launcher], capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert b"make -C" in done.stderr


def test_process_stdin_is_a_file_or_nothing_ends_well(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(INIT + SEND.strip())
    with (tmp_path / "in").open("rb") as file, process(file) as node:
        output, _ = node.communicate(timeout=TIMEOUT_S)
        assert node.returncode == 0
        assert msgspec.json.decode(output.splitlines()[0])["dest"] == "c0"
    with process(subprocess.DEVNULL) as node:
        assert node.communicate(timeout=TIMEOUT_S) == (b"", b"")
        assert node.returncode == 0


def test_process_stdin_is_a_socket_answers() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, process(theirs.fileno()) as node:
        ours.sendall(INIT)
        assert first_reply(node)["type"] == "init_ok"
        ours.shutdown(socket.SHUT_WR)
        assert node.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_told_to_end_exits_quietly(number: signal.Signals) -> None:
    with process() as node:
        assert node.stdin is not None
        node.stdin.write(INIT)
        node.stdin.flush()
        assert first_reply(node)["type"] == "init_ok"
        node.send_signal(number)
        assert node.wait(TIMEOUT_S) == 0
        assert node.stderr is not None
        assert node.stderr.read() == b""


def test_process_whose_reader_has_gone_exits_quietly() -> None:
    with process() as node:
        assert node.stdin is not None
        assert node.stdout is not None
        node.stdout.close()
        node.stdin.write(INIT)
        node.stdin.flush()
        assert node.wait(TIMEOUT_S) == 0
        assert node.stderr is not None
        assert node.stderr.read() == b""


def test_process_reader_that_is_slow_gets_every_line() -> None:
    count = 20_000
    unknown = b'{"src":"c0","dest":"n0","body":{"type":"?","msg_id":%d}}\n'
    read_end, write_end = os.pipe()
    with subprocess.Popen(command(), stdin=subprocess.PIPE, stdout=write_end) as node:
        os.close(write_end)
        assert node.stdin is not None
        # Far more than a pipe holds is on its way before anything is read.
        node.stdin.write(INIT + b"".join(unknown % number for number in range(count)))
        node.stdin.flush()
        with os.fdopen(read_end, "rb") as output:
            lines = [output.readline() for _ in range(count + 1)]
        assert [msgspec.json.decode(line)["body"]["in_reply_to"] for line in lines[1:]] == list(
            range(count)
        )
        node.stdin.close()
        assert node.wait(TIMEOUT_S) == 0


def test_process_background_failure_exits_with_its_reason() -> None:
    program = (
        "from tidings.maelstrom.designs.naive import Naive\n"
        "async def run(self): raise OSError('the disk is on fire')\n"
        "Naive.run = run\n"
        "from tidings.maelstrom.launch import naive; naive()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=INIT,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert b"the disk is on fire" in done.stderr
