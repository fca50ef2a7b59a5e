"""Small Produce requests, one in flight on each of many connections: what the broker makes of them.

Starts a broker, sends one record of 100 bytes in each request, and prints requests a second and the
broker's CPU time for each. With --instructions it prints what `perf stat` counts as well, which
other load on the machine does not change: instructions of the process and of the kernel for it.
With --floor the broker is a loop that answers 44 bytes, whatever it is asked.
Usage: python benchmarks/small_requests.py [--data DIR] [--instructions] [--floor] [CONNECTIONS …]
"""

import argparse
import asyncio
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from crc32c import crc32c

from tidings.kafka.encoding import encode
from tidings.kafka.schema import request_class

TOPIC = "benchmark"
PARTITIONS = 20
MEASURED_S = 4.0
WARM_UP_S = 1.0
PRODUCE_VERSION = 9


def record_batch() -> bytes:
    """Return a batch of one record with a value of 100 bytes."""
    # Length, attributes, timestamp and offset deltas, no key, value, no headers; zigzag varints.
    body = b"\x00\x00\x00\x01" + b"\xc8\x01" + bytes(100) + b"\x00"
    record = bytes([2 * len(body) & 0x7F | 0x80, 2 * len(body) >> 7]) + body
    now_ms = int(time.time_ns() // 1_000_000)
    covered = struct.pack(">hiqqqhii", 0, 0, now_ms, now_ms, -1, -1, -1, 1) + record
    return struct.pack(">qiiBI", 0, 9 + len(covered), -1, 2, crc32c(covered)) + covered


def frame(module: str, version: int, values: dict[str, object]) -> bytes:
    """Return a request with its size and header."""
    entity = request_class(module, version)
    head = struct.pack(">hhih5s", entity.__api_key__, version, 1, 5, b"bench")
    data = head + (b"\x00" if entity.__flexible__ else b"") + encode(entity, values)
    return struct.pack(">i", len(data)) + data


def produce_frame(partition: int) -> bytes:
    """Return a Produce request with acks=all."""
    partition_data = [{"index": partition, "records": record_batch()}]
    topics = [{"name": TOPIC, "partition_data": partition_data}]
    values = {"acks": -1, "timeout": 30_000, "topic_data": topics}
    return frame("produce", PRODUCE_VERSION, values)


FLOOR = """
import asyncio, uvloop

class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"\\0\\0\\0\\x28" + bytes(40))

async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"listens on 127.0.0.1:{server.sockets[0].getsockname()[1]};", flush=True)
    await asyncio.Event().wait()

uvloop.run(main())
"""
"""What a broker cannot be cheaper than, in Python."""


class Client(asyncio.Protocol):
    """Sends its request again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self._transport: asyncio.Transport
        self.answer_count = 0
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]  # TCP goes both ways
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += data
        size = 4 + int.from_bytes(self._received[:4], "big")
        if len(self._received) < size:
            return
        self._received = self._received[size:]
        self.answer_count += 1
        self.answered.set()
        self._transport.write(self._request)


@contextmanager
def broker(data: str | None, *, is_floor: bool = False) -> Iterator[tuple[int, int]]:
    """Run a broker; yield its process id and port."""
    storage = ["--memory"] if data is None else ["--data", data]
    command = [sys.executable, "-m", "tidings", "serve", "--port", "0", *storage]
    command += ["--partitions", str(PARTITIONS)]
    if is_floor:
        command = [sys.executable, "-c", FLOOR]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        match = re.search(r":(\d+);", process.stdout.readline())
        assert match is not None
        yield process.pid, int(match[1])
        process.terminate()


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 -- not a real file
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def instructions(pid: int) -> list[int]:
    """Return what a process executes while it is measured: by itself, and in the kernel for it."""
    events = ["-e", "instructions:u", "-e", "instructions:k"]
    command = ["perf", "stat", "-x,", *events, "-p", str(pid), "--", "sleep", str(MEASURED_S)]
    perf = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, told = await perf.communicate()
    return [int(line.split(b",")[0]) for line in told.splitlines() if b"instructions" in line]


async def measure(pid: int, port: int, connections: int, *, counts: bool = False) -> str:
    """Return a line about so many connections."""
    loop = asyncio.get_running_loop()
    clients = []
    metadata = Client(frame("metadata", 9, {"topics": [{"name": TOPIC}]}))
    transport, _ = await loop.create_connection(lambda: metadata, "127.0.0.1", port)
    await metadata.answered.wait()
    transport.abort()
    for number in range(connections):
        client = Client(produce_frame(number % PARTITIONS))
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        clients.append(client)
    await asyncio.sleep(WARM_UP_S)
    before = sum(client.answer_count for client in clients), cpu_s(pid), time.perf_counter()
    counted = await instructions(pid) if counts else []
    if not counts:
        await asyncio.sleep(MEASURED_S)
    count = sum(client.answer_count for client in clients) - before[0]
    cpu, wall = cpu_s(pid) - before[1], time.perf_counter() - before[2]
    for client in clients:
        client._transport.abort()  # noqa: SLF001 -- the end of the script
    line = (
        f"{connections:5} connections {count / wall:9,.0f} requests/s "
        f"{1e6 * cpu / max(1, count):7.1f} µs CPU each {100 * cpu / wall:4.0f} % of a core"
    )
    if not counts:
        return line
    own, kernel = (each / max(1, count) for each in counted)
    return f"{line}  {own:9,.0f} instructions, {kernel:9,.0f} in the kernel"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("connections", nargs="*", type=int, default=[1, 50, 200])
    options = parser.parse_args()
    for connections in options.connections:
        with broker(options.data, is_floor=options.floor) as (pid, port):
            print(asyncio.run(measure(pid, port, connections, counts=options.instructions)))


if __name__ == "__main__":
    main()
