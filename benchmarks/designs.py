"""What the five designs cost on the challenge's workload, and what lingering trades.

    python benchmarks/designs.py [--rounds 3] [--time-limit 20] [--picture docs/pictures/linger.svg]

Rounds alternate over the cases; a figure is the median of its rounds. All cases run on real node
processes. `wanted` and `reached` are operations a second; `messages` are those between servers,
per operation; times are of sends that ended ok; `available` is the least part, over all kinds of
operations, that ended ok. The load average at the start of each round is printed, for a busy
machine makes every figure worse.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tidings.types import Json

NODE = ("-m", "tidings", "maelstrom", "--design")
LINGERING = str(Path(__file__).parent / "nodes" / "lingering.py")
DESIGNS = ("journal", "gossip", "local-index", "offset-list", "naive")
LINGERS_MS = (0, 1, 2, 3, 4, 5, 6, 8, 12)
RUN_TIMEOUT_S = 300

TWO = "--node-count 2 --concurrency 2n --rate 1000"
FIVE = "--node-count 5 --concurrency 4n --rate 1000"
FAR = "--node-count 5 --concurrency 20n --rate 1000 --latency 100"
IDLE = "--node-count 5 --concurrency 1n --rate 0.02"
CUT = "--node-count 5 --concurrency 4n --rate 1000 --latency 10 --nemesis partition"


class Case(NamedTuple):
    """One thing to measure."""

    name: str
    node: tuple[str, ...]
    """The node: arguments of the Python that runs this."""
    conditions: str


class Run(NamedTuple):
    """The figures of one run."""

    verdict: str
    reached: float
    messages: float
    messages_a_second: float
    """Between servers, for each node."""
    p50_ms: float
    p99_ms: float
    available: float


def cases() -> Iterator[Case]:
    """Return all cases, the table's before the curve's."""
    for design in DESIGNS:
        yield Case(f"{design}, 2 nodes", (*NODE, design), TWO)
    for design in DESIGNS:
        yield Case(f"{design}, 5 nodes", (*NODE, design), FIVE)
    yield Case("journal, 5 nodes, 100 ms", (*NODE, "journal"), FAR)
    yield Case("journal, 5 nodes, 10 ms, partitions", (*NODE, "journal"), CUT)
    yield Case("journal, 5 idle nodes", (*NODE, "journal"), IDLE)
    for linger_ms in LINGERS_MS:
        yield Case(f"linger {linger_ms} ms", (LINGERING, str(linger_ms)), TWO)


def measure(case: Case, time_limit_s: float) -> Run:
    """Carry out one run."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "tidings", "challenge", "--store", store, "--seed", "1"]
        command += ["--time-limit", str(time_limit_s), "--bin", sys.executable]
        command += ["--recovery-time", "3", *case.conditions.split(), "--", *case.node]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S
        )
        if ended.returncode not in {0, 1}:
            raise SystemExit(f"{case.name} could not run:\n{ended.stdout}{ended.stderr}")
        return figures(msgspec.json.decode((Path(store) / "results.json").read_bytes()))


def figures(results: Json) -> Run:
    """Read a run's results."""
    kinds = results["figures"]["kinds"]
    duration_s = results["main_phase_s"]
    send = kinds.get("send", {}).get("latencies_ms", {})
    asked = {kind: kinds[kind] for kind in ("send", "poll") if kind in kinds}
    return Run(
        verdict="valid" if results["valid"] else ", ".join(results["verdict"]["bad"]),
        reached=results["main_phase_operations"] / duration_s,
        messages=results["messages"]["per_operation"],
        messages_a_second=results["messages"]["servers"]
        / duration_s
        / results["settings"]["node_count"],
        p50_ms=send.get("p50", 0.0),
        p99_ms=send.get("p99", 0.0),
        available=min(
            (k["ok"] / max(1, k["ok"] + k["fail"] + k["info"]) for k in asked.values()), default=1.0
        ),
    )


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each figure, and the worst verdict."""
    verdicts = sorted({run.verdict for run in runs} - {"valid"}) or ["valid"]
    columns = zip(*(run[1:] for run in runs), strict=True)
    return Run(" / ".join(verdicts), *map(statistics.median, columns))


def row(case: Case, run: Run) -> str:
    """Return one line of the table, as Markdown."""
    return (
        f"| {case.name} | {run.verdict} | {run.reached:,.0f} | {run.messages:.2f} | "
        f"{run.messages_a_second:,.1f} | {run.p50_ms:.1f} | {run.p99_ms:.1f} | "
        f"{run.available:.4f} |"
    )


def picture(lingers: dict[int, Run]) -> str:
    """Return the trade as an SVG: time of a send (blue) and messages (orange) over the linger."""
    width, height, left, bottom, top = 640, 320, 56, 42, 24
    most_ms = max(1.0, *(run.p50_ms for run in lingers.values())) * 1.15
    most = max(run.messages for run in lingers.values()) * 1.15
    span = max(lingers)

    def points(values: dict[int, float], largest: float) -> str:
        return " ".join(
            f"{left + (width - 2 * left) * x / span:.1f},"
            f"{height - bottom - (height - bottom - top) * y / largest:.1f}"
            for x, y in values.items()
        )

    p50 = points({x: run.p50_ms for x, run in lingers.items()}, most_ms)
    messages = points({x: run.messages for x, run in lingers.items()}, most)
    texts = [
        f'<text x="{left + (width - 2 * left) * x / span:.1f}" y="{height - 22}" '
        f'text-anchor="middle">{x}</text>'
        for x in lingers
    ]
    for part in (0.25, 0.5, 0.75, 1.0):
        y = height - bottom - (height - bottom - top) * part + 4
        texts.append(
            f'<text x="{left - 8}" y="{y:.1f}" text-anchor="end">{most_ms * part:.1f}</text>'
        )
        texts.append(f'<text x="{width - left + 8}" y="{y:.1f}">{most * part:.2f}</text>')
    body = "\n".join(texts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 font-family="sans-serif" font-size="12" fill="#555">
<rect width="{width}" height="{height}" fill="#fff"/>
<polyline points="{p50}" fill="none" stroke="#2563eb" stroke-width="2.5"/>
<polyline points="{messages}" fill="none" stroke="#d97706" stroke-width="2.5"/>
{body}
<text x="{left}" y="14" fill="#2563eb">send p50, ms</text>
<text x="{width - left}" y="14" fill="#d97706" text-anchor="end">server messages an operation</text>
<text x="{width / 2}" y="{height - 4}" text-anchor="middle">linger, ms</text>
</svg>
"""


def main() -> None:
    """Measure every case in every round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--picture", type=Path, help="where the curve of lingering goes")
    arguments = parser.parse_args()
    chosen = [case for case in cases() if arguments.only in case.name]
    runs: dict[Case, list[Run]] = {case: [] for case in chosen}
    for number in range(arguments.rounds):
        print(f"round {number + 1}, load average {os.getloadavg()[0]:.1f}", flush=True)
        for case in chosen:
            runs[case].append(measure(case, arguments.time_limit))
            print(row(case, runs[case][-1]), flush=True)
    print(
        "\n| case | verdict | reached | messages | a second and node | p50 ms | p99 ms "
        "| available |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for case, found in runs.items():
        print(row(case, median(found)))
    lingers = {
        int(case.node[1]): median(found)
        for case, found in runs.items()
        if case.node[0] == LINGERING
    }
    if arguments.picture and lingers:
        arguments.picture.write_text(picture(lingers))


if __name__ == "__main__":
    main()
