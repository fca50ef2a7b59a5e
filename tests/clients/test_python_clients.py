"""Unmodified Python clients against a broker: all do the same things and see the same."""

import sys
from pathlib import Path

import pytest
from client_run import run_scenarios
from group_scenarios import GROUP_SCENARIOS, run_group_scenario
from kafka_broker import kafka_broker
from scenarios import EXPECTED

__all__ = ["kafka_broker"]

pytestmark = pytest.mark.real

PROGRAM = Path(__file__).with_name("python_program.py")
LIBRARIES = ("confluent_kafka", "kafka_python", "aiokafka")

UNSUPPORTED = {"aiokafka": {"admin-groups"}}
"""What a library has no calls for."""


def command_of(library: str) -> list[str]:
    return [sys.executable, str(PROGRAM), library]


@pytest.mark.parametrize("library", LIBRARIES)
def test_client_sees_what_kafka_would_show_it(kafka_broker: str, library: str) -> None:
    seen = run_scenarios(command_of(library), kafka_broker, library, list(EXPECTED))
    unable = {name for name, line in seen.items() if "unsupported" in line}
    assert unable == UNSUPPORTED.get(library, set())
    able = {name: line.get("observed", line) for name, line in seen.items() if name not in unable}
    assert able == {name: EXPECTED[name] for name in able}


@pytest.mark.parametrize("scenario", GROUP_SCENARIOS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_members_of_a_group_share_take_over_and_resume(
    kafka_broker: str, library: str, scenario: str
) -> None:
    _, expected = GROUP_SCENARIOS[scenario]
    assert run_group_scenario(command_of(library), kafka_broker, library, scenario) == expected
