"""docs/kafka-support.md, written from the table of APIs: `make docs`."""

import sys

from tidings.kafka.apis import APIS, Api, advertised

_BEFORE = """\
# What the broker serves

This page is written by `make docs` from the table in `src/tidings/kafka/apis.py`, which also
answers ApiVersions and finds the handler of each request. Versions are those of Apache Kafka 4, as
far as the schemas of kio describe them.

| API | key | versions | told to clients |
|---|---|---|---|
"""

_AFTER = """
A request of any other API or version closes the connection, as in Apache Kafka, except that
ApiVersions answers with the versions that it knows. Some versions are told to clients and not
served: there are clients that take a broker without them for an ancient one, and none that uses
them.

There are no transactions, no share groups, and no groups by the protocol of KIP-848.
"""


def page() -> str:
    """Return the page."""
    return _BEFORE + "".join(_row(api) for api in APIS) + _AFTER


def _row(api: Api) -> str:
    name = "".join(word.capitalize() for word in api.module.split("_"))
    served = _range(api.lowest, api.highest)
    told = _range(advertised(api), api.highest)
    return f"| {name} | {api.key} | {served} | {told} |\n"


def _range(lowest: int, highest: int) -> str:
    return str(lowest) if lowest == highest else f"{lowest} to {highest}"


if __name__ == "__main__":
    sys.stdout.write(page())
