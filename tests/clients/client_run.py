"""Runs clients as processes, and reads what they print."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from tidings.types import Json

RUN_TIMEOUT_S = 120.0
"""How long a client may take for all scenarios; the slowest takes about 20 s."""

MEMBER_TIMEOUT_S = 60.0
"""How long a member of a group may take to say the next thing."""


def run_scenarios(
    command: Sequence[str], address: str, prefix: str, scenarios: Sequence[str]
) -> dict[str, Json]:
    """Return what a client prints of each scenario."""
    done = subprocess.run(
        [*command, "run", address, prefix, *scenarios],
        capture_output=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    lines = map(msgspec.json.decode, done.stdout.splitlines())
    found = {line["scenario"]: line for line in lines}
    for scenario in scenarios:
        silence = {"error": f"nothing was printed; stderr ends with {done.stderr[-500:]!r}"}
        found.setdefault(scenario, silence)
    return found


class Member:
    """A member of a group that runs as a process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.read: list[str] = []
        """All values that it has told so far."""

    def tell(self) -> Json:
        """Return the next thing that it says; remember what it read."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the member ended with {self._process.wait()}"
        said = msgspec.json.decode(line)
        self.read += said.get("read", [])
        return said

    def await_assigned(self, *counts: int) -> list[int]:
        """Wait until it has so many partitions; return them."""
        while True:
            assigned: list[int] | None = self.tell().get("assigned")
            if assigned is not None and len(assigned) in counts:
                return assigned

    def await_read(self, count: int) -> None:
        """Wait until it has read and committed so many records in all."""
        while len(self.read) < count:
            self.tell()

    def leave(self) -> None:
        """End its input, and wait until it has left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        while not self.tell().get("left"):
            pass
        self._process.wait(MEMBER_TIMEOUT_S)

    def die(self) -> None:
        """Kill it; it says goodbye to nobody."""
        _kill(self._process)
        self._process.wait()


@contextlib.contextmanager
def member(command: Sequence[str], address: str, topic: str, group: str) -> Iterator[Member]:
    """Run a member of a group; a watchdog ends one that says nothing for ever."""
    watched = ["timeout", str(MEMBER_TIMEOUT_S), *command, "member", address, topic, group]
    with subprocess.Popen(
        watched,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield Member(process)
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a member together with its watchdog."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
