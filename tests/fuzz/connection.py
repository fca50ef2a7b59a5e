"""Hostile bytes on a broker's connection, guided by coverage: `make fuzz`.

An input is what one client sends. It may find an answer or a closed connection; an error that the
broker did not expect, or anything that it still holds afterwards, ends the run with the input in a
file. Each input meets a broker that others have used before it.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "kafka"))

with atheris.instrument_imports(include=["tidings.kafka"]):
    from hostile_world import HostileWorld, requests

INPUTS_PER_WORLD = 2000
"""A broker is thrown away after so many, for topics come into being with them."""


class Target:
    """Feeds inputs to brokers."""

    def __init__(self) -> None:
        self._world = HostileWorld()
        self._input_count = 0

    def __call__(self, data: bytes) -> None:
        self._input_count += 1
        if self._input_count % INPUTS_PER_WORLD == 0:
            self._world = HostileWorld()
        # In two pieces, so that a frame may begin in one and end in the other.
        middle = len(data) // 2
        self._world.send([data[:middle], data[middle:]])


def main() -> None:
    """Fuzz with libFuzzer's options; begin with one request of each kind, or try the named file."""
    if any(Path(argument).is_file() for argument in sys.argv[1:]):
        atheris.Setup(sys.argv, Target())
        atheris.Fuzz()
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(requests()):
            (Path(corpus) / f"{number}").write_bytes(data)
        atheris.Setup([*sys.argv, corpus], Target())
        atheris.Fuzz()


if __name__ == "__main__":
    main()
