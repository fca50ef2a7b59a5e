"""Unmodified Python clients against a broker: all do the same things and see the same."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from kafka_broker import kafka_broker
from python_client import COMPRESSIONS, SCENARIOS

from tidings.types import Json

__all__ = ["kafka_broker"]

pytestmark = pytest.mark.real

PROGRAM = Path(__file__).with_name("python_client.py")
LIBRARIES = ("confluent_kafka", "kafka_python", "aiokafka")
PATIENCE_S = 120.0

_ALL = [f"v{number}" for number in range(10)]
_PRODUCED: Json = {"offsets": list(range(10)), "read": _ALL}

EXPECTED: dict[str, Json] = {
    **{f"produce-{name}": _PRODUCED for name in COMPRESSIONS},
    "records": {
        "records": [
            {"key": None, "value": "no key", "timestamp": 1234567, "headers": []},
            {"key": "gone", "value": None, "timestamp": 1234567, "headers": []},
            {"key": "", "value": "", "timestamp": 1234567, "headers": [["h", "1"], ["h", "2"]]},
        ]
    },
    "earliest": {"read": _ALL},
    "offset": {"read": ["v7", "v8", "v9"]},
    "latest": {"end": 10, "read": ["new"]},
    "timestamp": {"offsets": [0, 3, 9, None], "first": "v3"},
    "idempotent": {"read": _ALL, "end": 10},
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_client_sees_what_it_should(kafka_broker: str, library: str) -> None:
    command = [sys.executable, str(PROGRAM), library, "run", kafka_broker, library, *SCENARIOS]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    said = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    seen = {one["scenario"]: one.get("observed", one) for one in said}
    assert seen == EXPECTED, done.stderr[-2000:]
