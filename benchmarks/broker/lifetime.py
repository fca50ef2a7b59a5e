"""How fast a broker starts and ends, and what it holds when it does nothing."""

import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import fetched
import processes
from measures import Figures

import clients
from servers import Peer

QUIET_S = 2.0
"""How long a broker does nothing before its memory is looked at."""


def measure(peer: Peer, folder: Path | None) -> Figures:
    """Start a broker on an empty folder, read a record in a group, leave it alone, and end it."""
    topic = "first"
    with TemporaryDirectory(dir=folder) as own, peer.start(Path(own)) as broker:
        acknowledge_one(broker.address, topic)
        acknowledged_s = time.perf_counter() - broker.started_s
        clients.read_in_group(broker.address, topic)
        read_s = time.perf_counter() - broker.started_s
        time.sleep(QUIET_S)
        resident_mb = processes.resident_mb(broker.process.pid)
        stopped = time.perf_counter()
        broker.process.terminate()
        broker.process.wait(clients.PATIENCE_S)
        return {
            "start to first acknowledged record, s": acknowledged_s,
            "start to first read of a group, s": read_s,
            "idle resident memory, MB": resident_mb,
            "SIGTERM to exit, idle, s": time.perf_counter() - stopped,
        }


def acknowledge_one(address: str, topic: str) -> None:
    """Produce one record, with as little around it as can be."""
    command = [str(fetched.load_generator()), "-address", address, "-topic", topic, "-first"]
    subprocess.run(command, check=True, timeout=clients.PATIENCE_S)
