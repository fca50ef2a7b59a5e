"""Writes down the record batches that real clients send: the files in tests/kafka/batches.

    PYTHONPATH=tests/kafka python tests/clients/capture_batches.py

Each library produces the same records, once with each compression, to a broker of its own; a Fetch
asks for the bytes. They are as they were sent, but for the partition leader epoch.
"""

import socket
import sys
from importlib import import_module
from pathlib import Path

from broker_in_memory import read_response, request_frame
from kafka_broker import serving
from python_client import COMPRESSIONS, RECORDS, STRANGE, ClientRecord

FOLDER = Path(__file__).parents[1] / "kafka" / "batches"
LIBRARIES = ("confluent_kafka", "kafka_python", "aiokafka")
SENT = [*RECORDS, *STRANGE, ClientRecord(b"large", bytes(500), 2_000_000)]
VERSION = 11


def fetch(address: str, topic: str) -> bytes:
    """Return what lies in partition 0 of a topic."""
    partition = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}
    values = {
        "replica_id": -1,
        "max_wait": 0,
        "min_bytes": 0,
        "session_epoch": -1,
        "topics": [{"topic": topic, "partitions": [partition]}],
    }
    frame = request_frame("fetch", VERSION, values)
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(len(frame).to_bytes(4, "big") + frame)
        with connection.makefile("rb") as answers:
            size = answers.read(4)
            data = size + answers.read(int.from_bytes(size, "big"))
    response = read_response("fetch", VERSION, data)
    records: bytes = response.responses[0].partitions[0].records
    return records


def main() -> None:
    """Capture a batch of every library and compression."""
    with serving() as address:
        for name in LIBRARIES:
            library = import_module(f"{name}_library").library(address)
            for compression in COMPRESSIONS:
                topic = f"{name}-{compression}"
                library.produce(topic, SENT, compression=compression, is_idempotent=True)
                (FOLDER / f"{topic}.batch").write_bytes(fetch(address, topic))
                sys.stdout.write(f"{topic}\n")


if __name__ == "__main__":
    main()
