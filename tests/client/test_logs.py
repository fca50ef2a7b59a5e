"""What logs look like."""

import json
import logging
from collections.abc import Iterator

import pytest

from tidings.cli.logs import JsonFormatter, TextFormatter, logs

LOGGER = logging.getLogger("tidings.tests")


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "tidings.tests", "levelno": 30, "levelname": "WARNING"})
    made.msg, made.args, made.created, made.msecs = message, arguments, 1.5, 500.0
    made.__dict__.update(more)
    return made


@pytest.fixture(autouse=True)
def _quiet_elsewhere() -> Iterator[None]:
    """The handler of the test is the only one."""
    yield
    assert not any(type(handler) is logging.StreamHandler for handler in logging.root.handlers)


def test_line_of_text_has_time_level_logger_and_message() -> None:
    line = TextFormatter().format(record("%d of %s", 3, "them"))
    assert line == "1970-01-01T00:00:01.500Z WARNING tidings.tests: 3 of them"


def test_line_of_json_has_the_same_and_its_fields() -> None:
    line = JsonFormatter().format(record("a\n%s", "b", fields={"count": 3}))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "warning",
        "logger": "tidings.tests",
        "message": "a\nb",
        "count": 3,
    }


def test_error_in_json_has_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with logs("json", "info"):
        try:
            int("where")
        except ValueError:
            LOGGER.exception("it broke")
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "it broke"
    assert line["trace"].endswith(": 'where'")


def test_less_important_events_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    with logs("text", "warning"):
        LOGGER.info("left out")
        LOGGER.warning("kept")
        logging.getLogger("somebody.else").info("left out")
        logging.getLogger("somebody.else").warning("kept")
    LOGGER.warning("afterwards")
    said = capsys.readouterr().err
    assert said.count("kept") == 2
    assert "left out" not in said
    assert "afterwards" not in said
