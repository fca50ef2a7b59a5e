"""Reads the pages that a broker has for operators."""

import http.client
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from tidings.errors import InvalidRequest, Unavailable

PATIENCE_S = 10.0
PAGE_BYTES_MAX = 64 * 1024 * 1024

_OK = 200
_LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line of the page."""

    labels: Mapping[str, str]
    value: float


Page = Mapping[str, list[Sample]]
"""Samples by the name of their series."""


class Answer(NamedTuple):
    """What a broker says on a page."""

    is_ok: bool
    text: str


def ask_page(url: str) -> Answer:
    """Fetch a page.

    Raises:
        InvalidRequest: The URL is not one of HTTP.
        Unavailable: Nobody answers there, or something else does.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidRequest(f"{url!r} is no address of metrics: say http://HOST:PORT/metrics")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", parts.path or "/metrics")
        response = connection.getresponse()
        body = response.read(PAGE_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"no answer from {url}: {error}. Start the broker with --metrics-port."
        ) from error
    finally:
        connection.close()
    return Answer(response.status == _OK, body.decode(errors="replace"))


def read_page(url: str) -> Page:
    """Fetch and read a page of metrics.

    Raises:
        InvalidRequest, Unavailable: See `ask_page`.
    """
    answer = ask_page(url)
    if not answer.is_ok:
        raise Unavailable(f"no metrics at {url}: it says {answer.text!r:.100}")
    return parse(answer.text)


def parse(text: str) -> Page:
    """Read Prometheus' text format, as far as our brokers use it."""
    page: dict[str, list[Sample]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            labels = {
                name: _ESCAPE.sub(_unescaped, value)
                for name, value in _LABEL.findall(match[2] or "")
            }
            page.setdefault(match[1], []).append(Sample(labels, float(match[3])))
    return page


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
