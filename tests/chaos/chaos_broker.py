"""A broker as a process that can be killed at any moment, and started again."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

START_PATIENCE_S = 60.0
"""A broker that takes longer to be ready hangs."""

VERIFY_PATIENCE_S = 120.0


TIDINGS = ("-m", "tidings")
"""What users run."""

SMALL_PAGES = (str(Path(__file__).with_name("small_pages.py")),)
"""The same, at upkeep all the time."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class BrokerProcess:
    """`tidings serve` on one folder and one port."""

    def __init__(self, data: Path, log: Path, program: Sequence[str] = TIDINGS) -> None:
        """What the broker prints goes to `log`."""
        self._program = program
        self._data = data
        self._log = log
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    @property
    def address(self) -> str:
        """`HOST:PORT`, the same for ever."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = ("serve", "--data", self._data, "--port", self._port, "--no-auto-create")
        self._said = b""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, *map(str, command)],
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def is_ready_within(self, seconds: float) -> bool:
        """Wait until it is ready, or has ended, but no longer than so many seconds."""
        process = self._running()
        assert process.stdout is not None
        while select.select([process.stdout], [], [], seconds)[0]:
            more = os.read(process.stdout.fileno(), 65536)
            self._said += more
            if re.search(rb"listens on", self._said):
                return True
            if not more:
                return False
        return False

    def exit_status(self) -> int | None:
        """Return how it ended by itself; None while it runs."""
        return self._running().poll()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; return its exit status when it is gone."""
        return self._end(signal.SIGTERM)

    def verify(self) -> tuple[bool, str]:
        """Let `tidings verify` look at the folder; return whether it is sound, and what was said.

        The broker must not run.
        """
        done = subprocess.run(
            [sys.executable, *self._program, "verify", str(self._data)],
            capture_output=True,
            text=True,
            timeout=VERIFY_PATIENCE_S,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    def _end(self, number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(number)
        with process:
            return process.wait(START_PATIENCE_S)
