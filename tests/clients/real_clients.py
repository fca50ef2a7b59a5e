"""The clients that are tried, and how each is started."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import fetched

HERE = Path(__file__).parent


def _java() -> list[str]:
    classes = fetched.java_client()
    path = f"{classes}:{fetched.kafka_jars()}/*"
    # A short-lived program has no use for the compiler's best work.
    return [
        fetched.program("java"),
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-cp",
        path,
        "Client",
    ]


def _franz_go() -> list[str]:
    return [str(fetched.franz_go_client())]


def _kafkajs() -> list[str]:
    return [fetched.program("node"), str(fetched.kafkajs_client())]


def _kcat() -> list[str]:
    fetched.program("kcat")
    return [sys.executable, str(HERE / "kcat_client.py")]


def _kafka_tools() -> list[str]:
    path = f"{fetched.java_client()}:{fetched.kafka_jars()}/*"
    return [sys.executable, str(HERE / "kafka_tools_client.py"), path]


def _python(library: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, str(HERE / "python_program.py"), library]


CLIENTS: dict[str, Callable[[], Sequence[str]]] = {
    "Java kafka-clients 4.2.0": _java,
    "kafka-tools 4.2.0": _kafka_tools,
    "franz-go 1.22.0": _franz_go,
    "kafkajs 2.2.4": _kafkajs,
    "kcat": _kcat,
}
"""For each client, the command that its arguments follow. Raises `Missing` if it cannot be had."""

PYTHON_CLIENTS: dict[str, Callable[[], Sequence[str]]] = {
    f"{library} {version(library)}": _python(library.replace("-", "_"))
    for library in ("confluent-kafka", "kafka-python", "aiokafka")
}
"""Those with a test of their own, test_python_clients.py."""

GROUP_CLIENTS = ("Java kafka-clients 4.2.0", "franz-go 1.22.0", "kafkajs 2.2.4", *PYTHON_CLIENTS)
"""Those that can be a member of a group and tell of it."""
