"""Measures Tidings beside other brokers, by turns: `.venv/bin/python benchmarks/broker --quick`.

Every scenario is run on one broker after the other, several times; the table has the medians. The
brokers run all the time, each with its defaults; those that are not measured do nothing. What is
fetched first (there must be Java, Maven and Go) is kept, see `tests/servers/fetched.py`.
"""

import argparse
import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import fetched
import lifetime
import processes
from confluent_kafka import KafkaException
from measures import LIMITS, QUICK, SCENARIOS, Figures, Load, Running
from table import Table

from clients import Failed
from servers import OURS, PEERS, Peer

LIMIT = "limit"
"""The column of what the disk, or the load generator, would allow."""

LIFETIME = "lifetime"

FAILURES = (
    Failed,
    fetched.Missing,
    KafkaException,
    OSError,
    AssertionError,
    subprocess.SubprocessError,
)
"""What one measurement may end with; the others go on."""


class Benchmark:
    """The figures so far, and how they are collected."""

    def __init__(self, peers: Sequence[Peer], load: Load, wanted: argparse.Namespace) -> None:
        """What the brokers keep goes into `wanted.folder`, the figures into `wanted.markdown`."""
        self.table = Table([*(peer.name for peer in peers), LIMIT], OURS)
        self.load_averages: list[float] = []
        self._peers = peers
        self._load = load
        self._rounds: int = wanted.rounds
        self._folder: Path | None = wanted.folder
        self._markdown: Path | None = wanted.markdown

    def measure_lifetimes(self) -> None:
        """Start and end every broker."""
        for peer in self._each_round(LIFETIME):
            with self._noting(peer.name, LIFETIME):
                self.table.add(peer.name, lifetime.measure(peer, self._folder))

    def measure_under_load(self, names: Sequence[str]) -> None:
        """Run scenarios on brokers that stay up."""
        with contextlib.ExitStack() as stack:
            running = {}
            for peer in self._peers:
                with self._noting(peer.name, "start"):
                    own = Path(stack.enter_context(TemporaryDirectory(dir=self._folder)))
                    running[peer.name] = Running.of(stack.enter_context(peer.start(own)))
            for name in names:
                self._run(name, running)
            for peer_name, broker in running.items():
                self.table.add(peer_name, memory_figures(broker.process_id))

    def _run(self, name: str, running: dict[str, Running]) -> None:
        for peer in self._each_round(name):
            if peer.name in running:
                with self._noting(peer.name, name):
                    figures = SCENARIOS[name](running[peer.name], self._load)
                    self.table.add(peer.name, figures)
            if peer is self._peers[-1] and name in LIMITS:
                with TemporaryDirectory(dir=self._folder) as own:
                    self.table.add(LIMIT, LIMITS[name](self._load, Path(own)))

    def _each_round(self, name: str) -> Iterator[Peer]:
        for number in range(self._rounds):
            yield from self._peers
            average = processes.load_average()
            self.load_averages.append(average)
            print(f"{name}: round {number + 1} of {self._rounds}, load {average:.1f}", flush=True)
            if self._markdown:
                self._markdown.write_text(self.page())

    def page(self) -> str:
        """Return what was measured so far, as Markdown."""
        loaded = f"{min(self.load_averages):.1f} to {max(self.load_averages):.1f}"
        about = f"{self._rounds} rounds, {self._load}, load average {loaded}."
        return f"{about}\n\n{self.table.markdown()}"

    @contextlib.contextmanager
    def _noting(self, column: str, scenario: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            print(f"{column}, {scenario}: {error}", flush=True)
            self.table.add_failure(column, scenario, str(error))


def memory_figures(process_id: int) -> Figures:
    """Return what a broker holds after the load, and the most that it held under it."""
    return {
        "resident memory after all this, MB": processes.resident_mb(process_id),
        "most resident memory under load, MB": processes.most_resident_mb(process_id),
    }


def main() -> None:
    """Measure what the command line asks for."""
    wanted = _arguments()
    peers = [peer for peer in PEERS if peer.name in wanted.peers]
    benchmark = Benchmark(peers, QUICK if wanted.quick else Load(), wanted)
    if LIFETIME in wanted.scenarios:
        benchmark.measure_lifetimes()
    names = [name for name in SCENARIOS if name in wanted.scenarios]
    if names:
        benchmark.measure_under_load(names)
    print(f"\n{benchmark.page()}")
    if wanted.markdown:
        wanted.markdown.write_text(benchmark.page())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/broker", description=__doc__)
    names = [peer.name for peer in PEERS]
    scenarios = [LIFETIME, *SCENARIOS]
    parser.add_argument("--quick", action="store_true", help="little load: to try it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=names, default=names)
    parser.add_argument("--scenarios", nargs="+", choices=scenarios, default=scenarios)
    parser.add_argument("--folder", type=Path, help="where the brokers keep what they keep")
    parser.add_argument("--markdown", type=Path, help="where the table is written to")
    return parser.parse_args()


if __name__ == "__main__":
    main()
