"""Runs the correct designs on real processes under every latency and fault they must withstand.

    python benchmarks/matrix.py [--designs journal,gossip] [--time-limit 20] [--at-once 2]

Prints a line for each run and exits with 1 if one of them was not valid. `local-index` is not
among them: it is there to be judged invalid.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import msgspec

CORRECT = ("naive", "offset-list", "gossip", "journal")
SURVIVE_KILLS = ("gossip", "journal")
RATES = {0: 200, 10: 100, 100: 30}
"""Operations a second that are offered at each latency (in milliseconds)."""

RUN_TIMEOUT_S = 300
"""Beyond what any run takes; one that does is ended and reported."""


class Run(msgspec.Struct, frozen=True):
    """One run: a design and what it has to withstand."""

    design: str
    latency_ms: int
    distribution: str
    nemesis: str

    def command(self, store: Path, time_limit_s: float) -> list[str]:
        """Return the command line of the run."""
        options = {
            "--design": self.design,
            "--node-count": 5,
            "--concurrency": "2n",
            "--rate": RATES[self.latency_ms],
            "--time-limit": time_limit_s,
            "--latency": self.latency_ms,
            "--latency-dist": self.distribution,
            "--nemesis": self.nemesis,
            "--nemesis-interval": time_limit_s / 4,
            "--store": store,
        }
        arguments = [str(part) for option in options.items() for part in option]
        return [sys.executable, "-m", "tidings", "challenge", *arguments]


def runs(designs: list[str]) -> Iterator[Run]:
    """Return every run of these designs."""
    for design, latency_ms, distribution in product(designs, RATES, ("constant", "exponential")):
        if latency_ms == 0 and distribution != "constant":
            continue
        nemeses = ["none", "partition"]
        if design in SURVIVE_KILLS:
            nemeses += ["kill", "pause", "partition,kill,pause"]
        for nemesis in nemeses:
            yield Run(design, latency_ms, distribution, nemesis)


def carry_out(run: Run, time_limit_s: float) -> tuple[Run, str, bool]:
    """Carry out a run; return what to print of it and whether it was valid."""
    with tempfile.TemporaryDirectory() as store:
        outcome = subprocess.run(
            run.command(Path(store), time_limit_s),
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_TIMEOUT_S,
        )
        if outcome.returncode not in (0, 1):
            told = (outcome.stderr or outcome.stdout).strip()
            return run, f"could not run: {told[-1000:]}", False
        results = msgspec.json.decode((Path(store) / "results.json").read_bytes())
    verdict = results["verdict"]
    tallies = [tally for kind, tally in verdict["tallies"].items() if kind != "crash"]
    ok = sum(tally["ok"] for tally in tallies)
    every = sum(sum(tally.values()) for tally in tallies)
    share = f"{ok:6,} of {every:6,} ok ({100 * ok / every:6.2f} %)" if every else "nothing was done"
    found = "valid" if verdict["valid"] else "INVALID " + ", ".join(verdict["bad"])
    return run, f"{share}  {found}", bool(verdict["valid"])


def main() -> int:
    """Carry out all runs; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--designs", default=",".join(CORRECT))
    parser.add_argument("--time-limit", type=float, default=20)
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side")
    arguments = parser.parse_args()
    chosen = list(runs(arguments.designs.split(",")))
    all_valid = True
    with ThreadPoolExecutor(arguments.at_once) as pool:
        outcomes = pool.map(lambda run: carry_out(run, arguments.time_limit), chosen)
        for run, text, valid in outcomes:
            all_valid = all_valid and valid
            name = f"{run.design:12} {run.latency_ms:4} ms {run.distribution:12} {run.nemesis:21}"
            print(f"{name} {text}", flush=True)
    return 0 if all_valid else 1


if __name__ == "__main__":
    sys.exit(main())
