"""A cluster on hosts of its own: brokers, what keeps their order, and what keeps their blobs."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import databases
from chaos_broker import BrokerProcess
from databases import Server
from fetched import Missing
from hosts import Host, Network

BROKER_PORT = 9092

ETCD, POSTGRES = "etcd", "postgres"
STORES = (ETCD, POSTGRES)

ANSWER_S = 2.0
"""How long a member of etcd may take to say who leads."""


@dataclass(slots=True)
class Member:
    """A broker, and the host it is on."""

    name: str
    host: Host
    broker: BrokerProcess
    clock: Path
    """By how much its clock is wrong, as libfaketime reads it."""


@dataclass(slots=True)
class Cluster:
    """All that a run starts."""

    network: Network
    members: list[Member]
    order: list[Server]
    blobs: Server

    @property
    def address(self) -> str:
        """Where clients find it: all brokers, with commas between them."""
        return ",".join(member.broker.address for member in self.members)

    def order_leader(self) -> Server:
        """Return the server without which the order store cannot go on just now."""
        for server in self.order:
            if len(self.order) == 1 or _leads(server):
                return server
        return self.order[0]


def _leads(server: Server) -> bool:
    """Whether a member of etcd says that it leads."""
    connection = http.client.HTTPConnection(server.address, timeout=ANSWER_S)
    try:
        connection.request("POST", "/v3/maintenance/status", "{}")
        status = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return "leader" in status and status["leader"] == status["header"]["member_id"]


@contextlib.contextmanager
def cluster(folder: Path, network: Network, store: str, broker_count: int) -> Iterator[Cluster]:
    """Start the stores, and make brokers, which are not started; end all of them.

    Raises:
        Missing: A server cannot be had on this machine.
    """
    with ExitStack() as stack:
        if store == ETCD:
            hosts = [network.add(f"etcd{number}") for number in (1, 2, 3)]
            order = stack.enter_context(databases.etcd_cluster(3, on=hosts))
            blobs = stack.enter_context(databases.s3(on=network.add("s3")))
            options = ["--order", etcd_url(order), "--blobs", databases.s3_url(blobs.address)]
        else:
            blobs = stack.enter_context(databases.postgres(on=network.add("postgres")))
            order = [blobs]
            options = ["--store", databases.postgres_url(blobs.address)]
        members = [
            _member(folder, network, f"b{number}", options) for number in range(1, broker_count + 1)
        ]
        try:
            yield Cluster(network, members, order, blobs)
        finally:
            for member in members:
                member.broker.kill()


def etcd_url(servers: Sequence[Server]) -> str:
    """Return where brokers find the members of etcd."""
    return f"etcd://{','.join(server.address for server in servers)}/chaos"


def _member(folder: Path, network: Network, name: str, options: Sequence[str]) -> Member:
    host = network.add(name)
    address = f"{host.address}:{BROKER_PORT}"
    own = ["--host", host.address, "--port", str(BROKER_PORT), "--no-auto-create"]
    clock = folder / f"{name}.clock"
    clock.write_text("+0")
    broker = BrokerProcess(
        address,
        [*own, *options],
        folder / f"{name}.log",
        enter=host.enter,
        environment=databases.S3_ENVIRONMENT | wrong_clock(clock),
    )
    return Member(name, host, broker, clock)


def wrong_clock(clock: Path) -> dict[str, str]:
    """Return the environment of a process that reads from a file how wrong its clock is.

    Raises:
        Missing: There is no libfaketime.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Missing("libfaketime is not installed (Debian has it in faketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        # Deadlines and sessions use another clock, which no machine puts back.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }
