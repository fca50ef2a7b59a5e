"""Brokers on an order store that gets only a part of a core.

Where everything runs on one machine its cores are the limit, and nothing is learned of a store that
is one. Here the machine has cores left, and the order store has none.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from measures import Figures
from table import Table

import clients
from cluster import floors
from cluster.brokers import brokers_on
from cluster.loads import CONNECTIONS, Load
from cluster.stacks import ETCD, POSTGRES, Stack
from cluster.watching import BUSY, PARTITIONS, Watched, cores_of, saturated, watch

BROKERS = 3

LIMITS = {ETCD: (0.15, 0.2, 0.3), POSTGRES: (0.03, 0.05, 0.1)}
"""What order stores may use, in cores. With less, members of etcd lose each other, and PostgreSQL
does not answer in time."""

UNLIMITED = "no limit"

CONTROL_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
"""Where Linux has those for CPU time: version 1, or version 2."""

_PERIOD_US = 50_000


def measure(stack: Stack, urls: tuple[str, str], load: Load, table: Table) -> None:
    """Write to the order store, and produce to all brokers, on each limit."""
    limits = _limits(stack.order_role)
    for column, limit in limits.items():
        with limited(_processes(stack), limit):
            table.add(column, {floors.MANY: floors.writes_per_s(stack, urls, load.singles)})
    with brokers_on(urls, BROKERS) as brokers:
        topic = brokers.new_topic(PARTITIONS)
        clients.touch(brokers.address, topic, PARTITIONS)
        for column, limit in limits.items():
            with limited(_processes(stack), limit):
                full = watch(stack, brokers, topic, connections=CONNECTIONS, seconds=load.seconds)
            table.add(column, _figures(full))


def _figures(full: Watched) -> Figures:
    appends = full.asked.get("order append, calls", 0.0)
    return {
        f"{CONNECTIONS} connections, batches/s of 100 B": full.told["requests_per_s"],
        f"{CONNECTIONS} connections, p50 ms": full.told["p50_ms"],
        f"{CONNECTIONS} connections, p99 ms": full.told["p99_ms"],
        "batches in each append": 1000 / appends if appends else 0.0,
        **full.cores,
    }


def columns(order_role: str) -> list[str]:
    """Return the titles of the columns with a limit each, and of one with none."""
    return list(_limits(order_role))


def _limits(order_role: str) -> dict[str, float | None]:
    return {f"{limit} cores": limit for limit in LIMITS[order_role]} | {UNLIMITED: None}


def told(order_role: str, table: Table) -> Iterator[str]:
    """Say for each limit what was saturated."""
    for column, limit in _limits(order_role).items():
        if figures := table.medians(column):
            used = figures[cores_of(order_role)]
            if limit is not None and used >= BUSY * limit:
                limit_told = f"{order_role}, which used all that it may, {used:.2f} cores"
            else:
                limit_told = saturated(figures)
            yield f"Saturated with {column}: {limit_told}.\n"


def _processes(stack: Stack) -> list[int]:
    return [
        process for server in stack.servers[stack.order_role] for process in server.process_ids()
    ]


@contextlib.contextmanager
def limited(processes: Iterable[int], cores: float | None) -> Iterator[None]:
    """Let processes, and those that they begin, use so much CPU time together; None: any.

    Raises:
        OSError: This system has no control groups of CPU time, or does not let us use them.
    """
    if cores is None:
        yield
        return
    parent = next(each for each in CONTROL_GROUPS if each.is_dir())
    group = parent / f"tidings-benchmark-{os.getpid()}"
    group.mkdir()
    try:
        _set_limit(parent, group, int(cores * _PERIOD_US))
        _move(processes, group)
        yield
    finally:
        _move(_members(group), parent)
        group.rmdir()


def _set_limit(parent: Path, group: Path, quota_us: int) -> None:
    if (parent / "cgroup.controllers").exists():
        (parent / "cgroup.subtree_control").write_text("+cpu")
        (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota_us))


def _members(group: Path) -> list[int]:
    return [int(process) for process in (group / "cgroup.procs").read_text().split()]


def _move(processes: Iterable[int], group: Path) -> None:
    for process in processes:
        # One that has ended is none to be moved.
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(process))
