"""Metrics in Prometheus' text format, version 0.0.4.

Nothing here is locked or registered: what counts is an attribute of whoever counts, and a scrape
reads it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Sample(NamedTuple):
    """One line."""

    value: float
    labels: Mapping[str, str] = {}
    suffix: str = ""
    """What follows the family's name: `_bucket`, `_sum` or `_count` of a histogram."""


class Family(NamedTuple):
    """One metric with all of its labels."""

    name: str
    kind: Kind
    meaning: str
    samples: Sequence[Sample]


class Histogram:
    """Counts values by size."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count by these upper bounds, which are included."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def samples(self, labels: Mapping[str, str]) -> list[Sample]:
        """Return the lines of this histogram."""
        lines = []
        count = 0
        for bound, more in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += more
            lines.append(Sample(count, {**labels, "le": _number(bound)}, "_bucket"))
        return [*lines, Sample(self.total, labels, "_sum"), Sample(count, labels, "_count")]


def render(families: Iterable[Family]) -> bytes:
    """Return everything as a scrape wants it."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.meaning}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [_line(family.name, sample) for sample in family.samples]
    return ("\n".join(lines) + "\n").encode()


def _line(name: str, sample: Sample) -> str:
    inner = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in sample.labels.items())
    labels = f"{{{inner}}}" if inner else ""
    return f"{name}{sample.suffix}{labels} {_number(sample.value)}"


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
