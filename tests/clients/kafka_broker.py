"""A broker as a process, for clients that are not ours."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def serving() -> Iterator[str]:
    """Run a broker that keeps everything in memory, for ever; yield `HOST:PORT`."""
    # The records of tests are of 1970.
    options = ["--memory", "--port", "0", "--retention-ms", "-1"]
    command = [sys.executable, "-m", "tidings", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            match = re.search(r"listens on (\S+:\d+)", process.stdout.readline())
            assert match, "the broker does not say where it listens"
            yield match[1]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def kafka_broker() -> Iterator[str]:
    """The address of a broker that serves all tests of a module; each has topics of its own."""
    with serving() as address:
        yield address
