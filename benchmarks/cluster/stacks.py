"""What lies below the brokers: the servers of the stores, started once for a whole run."""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import databases
import processes
from databases import Server

from tidings.client.scraping import Page, read_page

ETCD, S3, POSTGRES = "etcd", "S3 server", "PostgreSQL"
"""What the servers are called in tables."""

Counters = dict[str, float]
"""What was counted, by what it is called."""

_S3_OPERATION = re.compile(r" s3_(\w+) ")

_ETCD_METHODS = ("Txn", "Range", "Put", "DeleteRange")

COMPACTING = ("--auto-compaction-mode=periodic", "--auto-compaction-retention=1m")
"""What docs/cluster.md tells to give each member of etcd."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Servers that run."""

    name: str
    servers: Mapping[str, Sequence[Server]]
    """By what they are."""
    s3_log: Path | None = None
    """Where the S3 server writes a line for each request, if there is one."""

    @property
    def order_role(self) -> str:
        """What keeps the order."""
        return POSTGRES if POSTGRES in self.servers else ETCD

    def new_place(self, name: str) -> tuple[str, str]:
        """Make room for another cluster; return the URLs of its order and its blobs.

        `name` has only small letters and digits.
        """
        if POSTGRES in self.servers:
            (server,) = self.servers[POSTGRES]
            url = databases.postgres_url(server.address)
            asyncio.run(_create_database(url, name))
            own = url.replace("/postgres?", f"/{name}?")
            return own, own
        (s3,) = self.servers[S3]
        members = ",".join(server.address for server in self.servers[ETCD])
        blobs = databases.s3_url(s3.address).replace("/some/path?", f"/{name}?")
        return f"etcd://{members}/{name}", blobs

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that each kind of server has used."""
        return {role: cpu_s(servers) for role, servers in self.servers.items()}

    def counters(self) -> Counters:
        """Return what the stores count themselves, since they were started."""
        if POSTGRES in self.servers:
            (server,) = self.servers[POSTGRES]
            return asyncio.run(_postgres_counters(databases.postgres_url(server.address)))
        counters = _etcd_counters(
            read_page(f"http://{server.address}/metrics") for server in self.servers[ETCD]
        )
        if self.s3_log is not None and self.s3_log.exists():
            for operation in _S3_OPERATION.findall(self.s3_log.read_text()):
                _add(counters, f"{S3} says, {operation}", 1)
        return counters


def _etcd_counters(pages: Iterable[Page]) -> Counters:
    counters: Counters = {}
    for page in pages:
        for sample in page.get("grpc_server_handled_total", []):
            method = sample.labels["grpc_method"]
            if method in _ETCD_METHODS:
                _add(counters, f"{ETCD} says, {method}", sample.value)
        for sample in page.get("etcd_disk_wal_write_bytes_total", []):
            _add(counters, f"{ETCD} says, kB written to all logs", sample.value / 1e3)
    return counters


def _add(counters: Counters, name: str, value: float) -> None:
    counters[name] = counters.get(name, 0.0) + value


async def _postgres_counters(url: str) -> Counters:
    connection = await asyncpg.connect(url)
    try:
        # Those that only read have no id; what it counts of these comes late.
        commits = await connection.fetchval("SELECT txid_snapshot_xmax(txid_current_snapshot())")
        log = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    finally:
        await connection.close()
    return {
        f"{POSTGRES} says, transactions that write": float(commits),
        f"{POSTGRES} says, kB written to its log": float(log) / 1e3,
    }


async def _create_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def cpu_s(servers: Sequence[Server]) -> float:
    """Return the CPU seconds that servers have used, without processes that have ended."""
    used = 0.0
    for server in servers:
        for process in server.process_ids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                used += processes.cpu_s(process)
    return used


@contextlib.contextmanager
def etcd_and_s3() -> Iterator[Stack]:
    """Run three members of etcd, and an S3 server.

    Raises:
        Missing: One of them cannot be had.
    """
    with TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        with (
            databases.etcd_cluster(3, *COMPACTING) as members,
            databases.s3(f"--access-log={log}") as s3,
        ):
            yield Stack("etcd and S3", {ETCD: members, S3: [s3]}, log)


@contextlib.contextmanager
def postgres() -> Iterator[Stack]:
    """Run PostgreSQL, with its own defaults for memory.

    Raises:
        Missing: It cannot be had.
    """
    with databases.postgres("shared_buffers=128MB") as server:
        yield Stack("PostgreSQL", {POSTGRES: [server]})


STACKS = {"etcd": etcd_and_s3, "postgres": postgres}
