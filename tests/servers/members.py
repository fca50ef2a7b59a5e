"""Starts brokers of a cluster as processes that can be killed, paused and started again."""

import contextlib
import sys
import tempfile
from collections.abc import Sequence

import databases
from brokers import free_port
from databases import Server

TIDINGS = ("-m", "tidings")
"""What users run."""


def member(
    stack: contextlib.ExitStack, options: Sequence[str], program: Sequence[str] = TIDINGS
) -> Server:
    """Return a broker that is not started yet; the stack kills it at its end.

    Args:
        stack: What ends it.
        options: What `tidings serve` is told besides the port.
        program: What Python is to run instead of `tidings`.
    """
    port = free_port()
    output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 -- the stack is one
    broker = Server(
        [sys.executable, *program, "serve", "--port", str(port), *options],
        f"127.0.0.1:{port}",
        ready="listens on",
        output=output,
        environment=databases.S3_ENVIRONMENT,
    )
    stack.callback(broker.kill)
    return broker
