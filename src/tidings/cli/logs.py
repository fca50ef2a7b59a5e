"""What a command writes for those who operate it: a line for each event, as text or as JSON."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
import msgspec

from tidings.types import Json


class TextFormatter(logging.Formatter):
    """Time in UTC, level, where from, message; a trace on lines of its own."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class JsonFormatter(TextFormatter):
    """The same in an object, and with it what a logger gave as `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


FORMATS: dict[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}
LEVELS = ("debug", "info", "warning", "error")


def say_line(message: str, fields: Mapping[str, Json]) -> None:
    """Write one line of JSON to stdout, in the form of the logs."""
    record = logging.LogRecord("tidings", logging.INFO, "", 0, message, None, None)
    record.fields = fields
    click.echo(JsonFormatter().format(record))


@contextmanager
def logs(form: str, level: str) -> Iterator[None]:
    """Write this package's logs from a level on, and others' warnings, to stderr meanwhile."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATS[form]())
    root, ours = logging.getLogger(), logging.getLogger("tidings")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(level.upper())
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)
