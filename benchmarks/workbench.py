"""How many operations a second the workbench can offer before it is the bottleneck itself.

    python benchmarks/workbench.py [--rates 1000,2000,4000] [--time-limit 5]

The nodes do nothing but answer: what is missing from the wanted rate the workbench did not offer,
or the machine had no time for. They exist in C, which costs next to nothing, and in Python.
Everything else is as in any run: real processes, the message log, progress, the history. Nothing
that was sent to such a node is ever polled, so the history is not judged.

`busy` is the workbench's processor time as a part of one core, `each` that time for an operation.
"""

import argparse
import asyncio
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tidings.workbench.figures import measure
from tidings.workbench.runner import run
from tidings.workbench.settings import Settings
from tidings.workbench.spectators import PlainSpectator

NODES = Path(__file__).parent / "nodes"
KINDS = ("send", "poll")


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the nodes that can be run here."""
    found: dict[str, tuple[str, ...]] = {"Python": (sys.executable, str(NODES / "answer_only.py"))}
    compiler = shutil.which("cc")
    if compiler is not None:
        binary = folder / "answer_only"
        source = NODES / "answer_only.c"
        subprocess.run([compiler, "-O2", "-o", str(binary), str(source)], check=True)
        found = {"C": (str(binary),), **found}
    return found


def processor_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ignore(line: str) -> None:
    """Show nothing."""
    del line


def measure_run(command: tuple[str, ...], rate: float, time_limit_s: float) -> str:
    """Carry out one run; return its line."""
    with tempfile.TemporaryDirectory() as store:
        settings = Settings(
            command=command,
            store=Path(store),
            node_count=5,
            concurrency=20,
            rate=rate,
            time_limit_s=time_limit_s,
            recovery_s=0.0,
            final_polls_s=0.0,
            seed=1,
        )

        async def main() -> str:
            before_s = processor_s()
            spectator = PlainSpectator(ignore, ignore)
            outcome = await run(settings, spectator=spectator, interrupt=asyncio.Event())
            if outcome.failure is not None:
                return outcome.failure
            used_s = processor_s() - before_s
            reached = outcome.main_phase_operations / outcome.main_phase_s
            send = measure(outcome.history).kinds["send"].latencies_ms
            return (
                f"{reached:9,.0f}/s {send['p50']:7.2f} ms {send['p99']:7.2f} ms "
                f"{used_s / outcome.main_phase_s:7.0%} "
                f"{1e6 * used_s / outcome.main_phase_operations:6.0f} us"
            )

        return asyncio.run(main())


def main() -> None:
    """Measure every node at every rate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rates", default="1000,2000,4000,8000")
    parser.add_argument("--time-limit", type=float, default=5.0)
    arguments = parser.parse_args()
    print(f"{'5 nodes':8} {'wanted':>8} {'reached':>11} {'p50':>10} {'p99':>10} busy    each")
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands(Path(folder)).items():
            for rate in map(float, arguments.rates.split(",")):
                line = measure_run(command, rate, arguments.time_limit)
                print(f"{name:8} {rate:8,.0f} {line}", flush=True)


if __name__ == "__main__":
    main()
