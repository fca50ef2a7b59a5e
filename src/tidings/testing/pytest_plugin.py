"""Fixtures for pytest, found by it where Tidings is installed; docs/testing-your-app.md has more.

Nothing is imported before a test wants a broker: this is loaded by every run of pytest.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tidings.testing.real_broker import RunningBroker


@pytest.fixture(scope="session")
def kafka_broker() -> "Iterator[RunningBroker]":
    """One real broker for all tests of this process; with pytest-xdist, one for each worker."""
    from tidings.testing import broker  # noqa: PLC0415 -- see above

    with broker() as running:
        yield running


@pytest.fixture
def fresh_kafka(kafka_broker: "RunningBroker") -> "Iterator[RunningBroker]":
    """The broker of this process, empty: what earlier tests left is gone, faults too."""
    kafka_broker.reset()
    yield kafka_broker
    kafka_broker.clear_faults()
