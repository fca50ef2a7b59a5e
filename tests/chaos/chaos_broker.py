"""A broker as a process that can be killed at any moment, and started again."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
    """`tidings serve`, with the same options at the same address each time."""

    def __init__(
        self,
        address: str,
        options: Sequence[str],
        log: Path,
        program: Sequence[str] = TIDINGS,
        *,
        enter: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`address` is the `HOST:PORT` that `options` give it; what it prints goes to `log`.

        What `enter` names runs the command where it is to run.
        """
        self.address = address
        self.log = log
        self._command = [*enter, sys.executable, *program, "serve", *options]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    def start(self) -> None:
        """Start it, also after it ended by itself; it is not ready yet."""
        self._said = b""
        if self._process is not None:
            with self._process:
                pass  # It has ended; its output is closed.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, env=self._environment
            )

    def is_ready_within(self, seconds: float) -> bool:
        """Wait until it is ready, or has ended, but no longer than so many seconds."""
        process = self._running()
        assert process.stdout is not None
        while b"listens on" not in self._said:
            if not select.select([process.stdout], [], [], seconds)[0]:
                return False
            more = os.read(process.stdout.fileno(), 65536)
            self._said += more
            if not more:
                return False
        return True

    def exit_status(self) -> int | None:
        """Return how it ended by itself; None while it runs."""
        return self._running().poll()

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; return its exit status when it is gone."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and it answers nothing."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on, with all that came meanwhile."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    def _end(self, number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(number)
        with process:
            return process.wait(START_PATIENCE_S)


class FolderBroker(BrokerProcess):
    """A broker that keeps its data in a folder, on the loopback."""

    def __init__(self, data: Path, log: Path, program: Sequence[str] = TIDINGS) -> None:
        """What the broker prints goes to `log`."""
        port = free_port()
        options = ["--data", str(data), "--port", str(port), "--no-auto-create"]
        super().__init__(f"127.0.0.1:{port}", options, log, program)
        self._verify = [sys.executable, *program, "verify", str(data)]

    def verify(self) -> tuple[bool, str]:
        """Let `tidings verify` look at the folder; return whether it is sound, and what was said.

        The broker must not run.
        """
        done = subprocess.run(
            self._verify, capture_output=True, text=True, timeout=VERIFY_PATIENCE_S, check=False
        )
        return done.returncode == 0, done.stdout + done.stderr
