"""What tests do where a server or a client cannot be had."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest
from fetched import Missing

T = TypeVar("T")


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Skip the test where what the block gets cannot be had; with CI=true fail."""
    try:
        yield
    except Missing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@contextlib.contextmanager
def obtained(start: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Run a server until the block ends; see `needed`."""
    with ExitStack() as stack:
        with needed():
            server = stack.enter_context(start())
        yield server
