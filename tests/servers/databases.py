"""Starts the servers below the stores as processes that can be killed, paused and started again.

PostgreSQL, etcd and an S3 server, each on the loopback or on a host of `hosts`, with folders of
their own.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import fetched
from fetched import Missing
from hosts import LOOPBACK, Host

START_TIMEOUT_S = 60.0
"""How long a server may take until it is ready, on a busy machine and after it was killed."""

_LOOK_AGAIN_S = 0.01

_OUTPUT_CHARACTERS_MAX = 4000


class Server:
    """A server that can be killed, paused, and started again on what it had stored."""

    def __init__(
        self,
        command: Sequence[str],
        address: str,
        *,
        ready: str,
        output: IO[bytes],
        on: Host = LOOPBACK,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`ready` is what it prints when it can be used; `address` is its HOST:PORT."""
        self.address = address
        self.host = on
        self._command = [*on.enter, *_become(user), *command]
        self._ready = ready.encode()
        self._output = output
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.begin_start()
        self.await_ready()

    def begin_start(self) -> None:
        """Start it; members of a cluster wait for each other."""
        self._printed_before = self._output.seek(0, os.SEEK_END)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd="/",
        )

    def await_ready(self) -> None:
        """Wait until it is ready."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S  # noqa: TID251 -- a real process
        while self._ready not in (printed := self._printed()) or not self._listens():
            late = time.monotonic() > deadline  # noqa: TID251 -- as above
            if late or self._process.poll() is not None:
                told = printed[-_OUTPUT_CHARACTERS_MAX:].decode(errors="replace")
                raise AssertionError(f"{self._command[0]} does not start; it printed:\n{told}")
            time.sleep(_LOOK_AGAIN_S)

    def _listens(self) -> bool:
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return True
        return False

    def _printed(self) -> bytes:
        size = os.fstat(self._output.fileno()).st_size - self._printed_before
        return os.pread(self._output.fileno(), size, self._printed_before)

    def kill(self) -> None:
        """End it and all its processes at once, as a loss of power would; nothing is written."""
        if self._process is not None:
            # Stopped first, so that none of them begins another.
            self.pause()
            family = _family(self._process.pid)
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            # What they shared, PostgreSQL's memory say, is free when all of them have ended.
            while any(map(_is_alive, family)):
                time.sleep(_LOOK_AGAIN_S)

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered from now on."""
        assert self._process is not None
        self._signal(signal.SIGSTOP)
        # Threads that run on another processor stop a moment later; and a process that was begun
        # while the others were being stopped has to be told as well.
        while not all(map(_is_stopped, _family(self._process.pid))):
            time.sleep(_LOOK_AGAIN_S)
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, with all that came meanwhile."""
        self._signal(signal.SIGCONT)

    def process_ids(self) -> list[int]:
        """Return its processes; none if it does not run."""
        return _family(self._process.pid) if self._process else []

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for process in _family(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)


def _become(user: str | None) -> list[str]:
    """Return what to write before a command so that a user runs it, in a host that was entered."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []


def _is_stopped(process: int) -> bool:
    """Whether no thread of a process runs any more."""
    return all(state in "TtZX" for state in _states(process))


def _is_alive(process: int) -> bool:
    return any(state not in "ZX" for state in _states(process))


def _states(process: int) -> list[str]:
    """Return the state of each thread of a process, as Linux names them; none if it is gone."""
    told = _of_threads(process, "stat")
    return [state.rpartition(")")[2].split()[0] for state in told]


def _of_threads(process: int, file: str) -> list[str]:
    """Return what Linux tells of each thread of a process; threads and processes may vanish."""
    found: list[str] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append((thread / file).read_text())
    return found


def _family(process: int) -> list[int]:
    """Return a process and all that come from it, it first."""
    found = [process]
    for parent in found:
        for children in _of_threads(parent, "children"):
            found += map(int, children.split())
    return found


@contextlib.contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tidings-server-", ignore_cleanup_errors=True) as name:
        if user:
            shutil.chown(name, user, user)
        yield Path(name)


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


# PostgreSQL ---------------------------------------------------------------------------------------

POSTGRES_PASSWORD = "not a secret"


@contextlib.contextmanager
def postgres(*settings: str, on: Host = LOOPBACK) -> Iterator[Server]:
    """Run PostgreSQL, with a sync for each commit, as its default is.

    Its only database and its role are `tidings`. `settings` are such as `fsync=off`.

    Raises:
        Missing: It is not installed.
    """
    programs = _postgres_programs()
    # It refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    with _folder(user) as folder, tempfile.TemporaryFile() as output:
        data, port = folder / "data", _free_port()
        _make_cluster(programs, data, user)
        options = [f"listen_addresses={on.address}", f"port={port}", "unix_socket_directories="]
        options += ["shared_buffers=32MB", "restart_after_crash=off", *settings]
        command = [str(programs / "postgres"), "-D", str(data)]
        for option in options:
            command += ["-c", option]
        ready = "ready to accept connections"
        address = f"{on.address}:{port}"
        server = Server(command, address, ready=ready, output=output, on=on, user=user)
        with _running(server):
            yield server


def postgres_url(address: str) -> str:
    """Return where the stores find a server, or a pooler before it."""
    return f"postgres://tidings@{address}/postgres?sslmode=disable"


def _postgres_programs() -> Path:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parts[-3]),
    )
    if found:
        return found[-1].parent
    return Path(fetched.program("postgres")).parent


def _make_cluster(programs: Path, data: Path, user: str | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", "tidings", "--no-sync"]
    command += ["--auth=trust", "--encoding=UTF8", "--no-locale"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, user=user, group=user, cwd="/"
    )
    if done.returncode:
        raise Missing(f"PostgreSQL makes no folder:\n{done.stderr}")
    # By itself it lets in only who is on the same host.
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all 0.0.0.0/0 trust\n")


@contextlib.contextmanager
def pgbouncer(address: str, *, size: int = 2) -> Iterator[Server]:
    """Run PgBouncer before a PostgreSQL, in transaction mode, with `size` connections to it.

    Raises:
        Missing: It is not installed.
    """
    program = fetched.program("pgbouncer")
    user = "postgres" if os.geteuid() == 0 else None
    host, _, server_port = address.partition(":")
    with _folder(user) as folder, tempfile.TemporaryFile() as output:
        port = _free_port()
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"""
[databases]
postgres = host={host} port={server_port} user=tidings
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""
        )
        settings.chmod(0o644)
        command = [program, str(settings)]
        server = Server(command, f"127.0.0.1:{port}", ready="process up", output=output, user=user)
        with _running(server):
            yield server


# etcd ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def etcd(*options: str, scheme: str = "http", is_current: bool = False) -> Iterator[Server]:
    """Run etcd: one member, with a sync for each commit, as its default is.

    Raises:
        Missing: It is not installed.
    """
    with etcd_cluster(1, *options, scheme=scheme, is_current=is_current) as (server,):
        yield server


@contextlib.contextmanager
def etcd_cluster(
    member_count: int,
    *options: str,
    scheme: str = "http",
    is_current: bool = False,
    on: Sequence[Host] = (),
) -> Iterator[list[Server]]:
    """Run a cluster of etcd; its members talk to each other without TLS.

    Args:
        member_count: How many members.
        options: For each of them, such as `--quota-backend-bytes=20000000`.
        scheme: What clients speak with them.
        is_current: Whether to run the newest, and not the one that is installed.
        on: A host for each member; none for the loopback.

    Raises:
        Missing: It is not installed, or cannot be built.
    """
    program = str(fetched.current_etcd()) if is_current else fetched.program("etcd")
    hosts = on or [LOOPBACK] * member_count
    names = [f"member{number}" for number in range(member_count)]
    peers = [f"http://{host.address}:{_free_port()}" for host in hosts]
    cluster = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
    with contextlib.ExitStack() as stack:
        members = []
        for name, peer, host in zip(names, peers, hosts, strict=True):
            folder = stack.enter_context(_folder(None))
            output = stack.enter_context(tempfile.TemporaryFile())
            address = f"{host.address}:{_free_port()}"
            url = f"{scheme}://{address}"
            command = [program, f"--name={name}", f"--data-dir={folder}"]
            command += [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
            command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
            command += [f"--initial-cluster={cluster}", *options]
            ready = "ready to serve client requests"
            server = Server(command, address, ready=ready, output=output, on=host)
            stack.callback(server.kill)
            server.begin_start()
            members.append(server)
        for server in members:
            server.await_ready()
        yield members


# S3 -----------------------------------------------------------------------------------------------

S3_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "tidings", "AWS_SECRET_ACCESS_KEY": "not a secret"}
"""Who may use the S3 server, as clients take it from the environment."""

S3_BUCKET = "blobs"


@contextlib.contextmanager
def s3(*options: str, on: Host = LOOPBACK) -> Iterator[Server]:
    """Run versitygw: S3 on a folder, with one bucket.

    `options` are its global ones, such as `--cert=FILE`.

    Raises:
        Missing: See `fetched.versitygw`.
    """
    program = fetched.versitygw()
    with _folder(None) as folder, tempfile.TemporaryFile() as output:
        buckets, sidecar = folder / "buckets", folder / "sidecar"
        (buckets / S3_BUCKET).mkdir(parents=True)
        sidecar.mkdir()
        address = f"{on.address}:{_free_port()}"
        who = [f"--access={S3_ENVIRONMENT['AWS_ACCESS_KEY_ID']}"]
        who += [f"--secret={S3_ENVIRONMENT['AWS_SECRET_ACCESS_KEY']}"]
        # Folders need no extended attributes then.
        place = ["posix", f"--sidecar={sidecar}", str(buckets)]
        command = [str(program), f"--port={address}", "--keep-alive", "--quiet"]
        command += [*options, *who, *place]
        server = Server(command, address, ready="No IAM service", output=output, on=on)
        with _running(server):
            yield server


def s3_url(address: str, scheme: str = "http") -> str:
    """Return where the store finds a server."""
    return f"s3://{S3_BUCKET}/some/path?endpoint={scheme}://{address}&region=us-east-1"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate and its key, of and for 127.0.0.1, signed by itself; return the files.

    Raises:
        Missing: There is no openssl.
    """
    cert, key = folder / "cert", folder / "key"
    command = [fetched.program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=tidings", "-addext", "subjectAltName=IP:127.0.0.1"]
    # Some clients take no certificate that may sign others for that of a server.
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


# Ports --------------------------------------------------------------------------------------------

_PORTS = range(20_000, 32_000)
"""Below those that Linux gives to connections: none has taken one when it is to be listened on."""


def _free_port() -> int:
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
