"""The fixtures, in runs of pytest of their own, as users have them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

PATIENCE_S = 120.0
GUIDE = Path(__file__).parents[2] / "docs" / "testing-your-app.md"

TESTS = """
import pytest
from tidings.errors import UnknownTopicOrPartition

def test_first(fresh_kafka):
    fresh_kafka.create_topic("news")
    fresh_kafka.append("news", [b"1"])
    fresh_kafka.cut("Produce", times=100)

@pytest.mark.parametrize("number", range(4))
def test_later(fresh_kafka, kafka_broker, number):
    assert fresh_kafka is kafka_broker
    with pytest.raises(UnknownTopicOrPartition):
        fresh_kafka.records("news")
    fresh_kafka.create_topic("news")
    fresh_kafka.append("news", [b"1"])
    assert len(fresh_kafka.records("news")) == 1
"""


def run_pytest(folder: Path, source: str, *options: str) -> str:
    (folder / "test_it.py").write_text(source)
    # Not to rewrite assertions saves most of the time: pytest would do so in all of Tidings.
    options = ("-p", "no:cacheprovider", "--assert", "plain", *options)
    command = [sys.executable, "-m", "pytest", *options, "test_it.py"]
    # Compiled once for all runs, as it is on a user's machine.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "with xdist"])
def test_each_test_has_the_broker_empty(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert "5 passed" in run_pytest(tmp_path, TESTS, *options)


def test_examples_of_the_guide_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    tests = [block for block in blocks if "\ndef test_" in block]
    assert len(tests) == 4
    assert "4 passed" in run_pytest(tmp_path, "\n".join(tests))


def test_plugin_imports_no_broker_before_a_test_wants_one() -> None:
    program = (
        "import sys, tidings.testing.pytest_plugin\n"
        "print(sorted(name for name in sys.modules if name.startswith('tidings')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['tidings', 'tidings.testing', 'tidings.testing.pytest_plugin']\n"
