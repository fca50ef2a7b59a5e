"""The brokers that are compared, each on a folder of its own and with its defaults."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import brokers

OURS = "Tidings"


@dataclass(frozen=True, slots=True)
class Peer:
    """A broker that can be started."""

    name: str
    start: Callable[[Path], AbstractContextManager[brokers.Broker]]
    """Starts it; what it keeps on disk may go into the folder."""


PEERS = (
    Peer(OURS, lambda folder: brokers.tidings("--data", str(folder / "data"))),
    Peer("Kafka", lambda _: brokers.kafka()),
    Peer("Kafka, flush", lambda _: brokers.kafka(settings=["log.flush.interval.messages=1"])),
    Peer("kfake", lambda _: brokers.kfake()),
    Peer("kfake -sync", lambda folder: brokers.kfake(str(folder))),
    Peer("Tansu", lambda _: brokers.tansu()),
)
"""An acknowledged record is on disk in Tidings, in Kafka with a flush, and in kfake -sync.

Tansu keeps everything in memory: the program that can be had without building it for long has no
SQLite.
"""
