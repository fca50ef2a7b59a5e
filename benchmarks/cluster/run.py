"""Measures brokers that share their stores: `.venv/bin/python benchmarks/cluster --quick`.

Each round goes through both kinds of stores and, on each, one, two and three brokers; the tables
have the medians of the rounds. Beside them stands the floor: what the same write takes when it is
made without us. The stores run all the time, on this machine, as the brokers and the clients do;
those that are not measured do nothing.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import asyncpg
import databases
import processes
from confluent_kafka import KafkaException
from table import Table

from clients import Failed
from cluster import apart, failover, floors, history, limited, loads
from cluster.brokers import brokers_on
from cluster.loads import QUICK, TINY, Load
from cluster.page import ALL, COLUMNS, FLOOR, ONE, Tables, page
from cluster.stacks import STACKS, Stack
from cluster.tuning import CHOICES
from tidings.errors import TidingsError

LOAD, APART, FAILOVER, LIMITED, HISTORY = SCENARIOS = (
    "load",
    "apart",
    "failover",
    "limited",
    "history",
)
"""What is measured if nothing else is said; what `CHOICES` has is only if it is."""

FAILURES = (
    Failed,
    TidingsError,
    KafkaException,
    asyncpg.PostgresError,
    OSError,
    AssertionError,
    subprocess.SubprocessError,
    ExceptionGroup,
)
"""What one measurement may end with; the others go on."""


class Benchmark:
    """The figures so far, and how they are collected."""

    def __init__(self, stacks: Sequence[Stack], load: Load, wanted: argparse.Namespace) -> None:
        self._stacks = stacks
        self._load = load
        self._rounds: int = wanted.rounds
        self._scenarios: Sequence[str] = wanted.scenarios
        self._markdown: Path | None = wanted.markdown
        self._tables = {stack.name: Tables(stack.order_role) for stack in stacks}
        self._load_averages: list[float] = []
        self._names = (f"place{number}" for number in range(10**6))

    def run(self) -> None:
        """Measure everything that is wanted."""
        each_round = {
            LOAD: self._load_sizes,
            APART: self._read_apart,
            FAILOVER: self._kill,
            LIMITED: self._limit,
        }
        each_round |= {name: partial(self._choose, name) for name in CHOICES}
        for number in range(self._rounds):
            for stack in self._stacks:
                for name, measure in each_round.items():
                    self._try(name, measure, stack)
                self._note_round(f"{stack.name}: round {number + 1} of {self._rounds}")
        for stack in self._stacks:
            self._try(HISTORY, self._start_late, stack)
            self._note_round(f"{stack.name}: histories")

    def _try(self, name: str, measure: Callable[[Stack, Table], None], stack: Stack) -> None:
        table = self._tables[stack.name].reached
        if name not in self._scenarios:
            return
        try:
            measure(stack, table)
        except FAILURES as error:
            print(f"{stack.name}, {name}: {error!r}", flush=True)
            table.add_failure(stack.name, name, repr(error))

    def _load_sizes(self, stack: Stack, table: Table) -> None:
        urls = self._new_place(stack)
        with brokers_on(urls) as brokers:
            for column in COLUMNS:
                # Each time anew: what else the disk and the machine do changes.
                table.add(FLOOR, floors.measure(stack, urls, self._load.singles // 2))
                brokers.grow()
                measured = loads.measure(stack, brokers, self._load)
                self._tables[stack.name].add(column, measured)

    def _read_apart(self, stack: Stack, table: Table) -> None:
        ways = {"with gossip": (), "without gossip": apart.WITHOUT_GOSSIP}
        for name, options in ways.items():
            title = f"from one broker to a consumer of another at 500/s, {name}"
            with brokers_on(self._new_place(stack), len(COLUMNS), options) as brokers:
                table.add(ALL, apart.measure(brokers, self._load, title))

    def _kill(self, stack: Stack, table: Table) -> None:
        with brokers_on(self._new_place(stack), len(COLUMNS)) as brokers:
            table.add(ALL, failover.measure(brokers, self._load.kills))

    def _limit(self, stack: Stack, _: Table) -> None:
        table = self._tables[stack.name].limited
        limited.measure(stack, self._new_place(stack), self._load, table)

    def _start_late(self, stack: Stack, table: Table) -> None:
        table.add(ONE, history.measure(self._new_place(stack), self._load.histories))

    def _choose(self, name: str, stack: Stack, _: Table) -> None:
        table = self._tables[stack.name].choices[name]
        CHOICES[name].try_all(stack, self._load, partial(self._new_place, stack), table)

    def _new_place(self, stack: Stack) -> tuple[str, str]:
        return stack.new_place(next(self._names))

    def _note_round(self, text: str) -> None:
        average = processes.load_average()
        self._load_averages.append(average)
        print(f"{text}, load {average:.1f}", flush=True)
        if self._markdown:
            self._markdown.write_text(self.page())

    def page(self) -> str:
        """Return what was measured so far, as a page in Markdown."""
        loaded = f"{min(self._load_averages):.1f} to {max(self._load_averages):.1f}"
        rounds = "1 round" if self._rounds == 1 else f"{self._rounds} rounds"
        return page(f"{rounds}, {self._load}, load average {loaded}", self._tables)


def main() -> None:
    """Measure what the command line asks for."""
    wanted = _arguments()
    # Whoever ends this, ends with it all that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    # As which client the brokers, and this program, ask the S3 server.
    os.environ.update(databases.S3_ENVIRONMENT)
    with contextlib.ExitStack() as stack:
        stacks = [stack.enter_context(STACKS[name]()) for name in wanted.stores]
        load = TINY if wanted.tiny else QUICK if wanted.quick else Load()
        benchmark = Benchmark(stacks, load, wanted)
        benchmark.run()
    print(f"\n{benchmark.page()}")
    if wanted.markdown:
        wanted.markdown.write_text(benchmark.page())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/cluster", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little load: to try it out")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help="3; with --quick 1")
    parser.add_argument("--stores", nargs="+", choices=tuple(STACKS), default=tuple(STACKS))
    parser.add_argument("--scenarios", nargs="+", choices=(*SCENARIOS, *CHOICES), default=SCENARIOS)
    parser.add_argument("--markdown", type=Path, help="where the tables are written to")
    wanted = parser.parse_args()
    wanted.rounds = wanted.rounds or (1 if wanted.quick or wanted.tiny else 3)
    return wanted
