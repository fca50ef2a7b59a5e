"""Several runs side by side: a table, and one line for each run in every chart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidings.workbench.report.charts import (
    Frame,
    Value,
    latency_scale,
    legend,
    linear,
    trouble_legend,
)
from tidings.workbench.report.markup import Markup, join, tag
from tidings.workbench.report.page import REPORT, document, duration, table
from tidings.workbench.report.record import RunRecord
from tidings.workbench.report.series import Bins, cut, latencies, rates
from tidings.workbench.report.spells import Trouble, find_troubles

COMPARISON: Final = "compare.html"
"""The file inside the store."""

_BAR_WIDTH: Final = 560
_BAR_ROW: Final = 34
_BAR_LABELS: Final = 150


@dataclass(frozen=True, slots=True)
class Compared:
    """What is kept of a run to compare it."""

    run_name: str
    valid: bool
    reasons: str
    rate: float
    ok_share: float
    send_p50_ms: float
    send_p99_ms: float
    poll_p50_ms: float
    per_operation: float
    by_peer: dict[str, float]
    worst_lag_s: float
    bins: Bins
    send_ms: list[Value]
    """The median of sends, by bin."""
    rates: list[float]
    """Operations a second that ended ok, by bin."""
    troubles: list[Trouble]


def summarize(run: RunRecord) -> Compared:
    """Return what is kept of `run`; over time only what was asked for, without final polls."""
    end_s = run.settings["time_limit_s"] if run.settings else run.duration_s
    bins = cut(end_s)
    operations = [op for op in run.operations if op.completion.time <= end_s * 1e9]
    kinds = {name: kind for name, kind in run.figures.kinds.items() if name != "crash"}
    every = sum(kind.ok + kind.fail + kind.info for kind in kinds.values())
    ok_rates = [values for name, values in rates(operations, bins).items() if name != "not ok"]
    lag = run.verdict.worst_realtime_lag
    messages = run.messages

    def quantile(kind: str, name: str) -> float:
        return kinds[kind].latencies_ms.get(name, 0.0) if kind in kinds else 0.0

    return Compared(
        run_name=run.name,
        valid=not run.reasons,
        reasons=", ".join(run.reasons),
        rate=run.rate or 0.0,
        ok_share=sum(kind.ok for kind in kinds.values()) / max(1, every),
        send_p50_ms=quantile("send", "p50"),
        send_p99_ms=quantile("send", "p99"),
        poll_p50_ms=quantile("poll", "p50"),
        per_operation=messages.per_operation if messages else 0.0,
        by_peer=messages.per_operation_by_peer if messages else {},
        worst_lag_s=lag.lag_s if lag else 0.0,
        bins=bins,
        send_ms=latencies(operations, bins).p50_ms.get("send", [None] * bins.count),
        rates=[sum(column) for column in zip(*ok_rates, strict=True)] or bins.zeros(),
        troubles=find_troubles(run.history, run.duration_s),
    )


HEADS: Final = (
    "",
    "verdict",
    "ops/s",
    "ended ok",
    "send p50",
    "send p99",
    "poll p50",
    "msgs/op",
    "worst lag",
)


def rows(compared: Sequence[Compared]) -> list[list[str]]:
    """Return the table, one row for each run."""
    return [
        [
            run.run_name,
            "valid" if run.valid else "INVALID",
            f"{run.rate:,.0f}",
            f"{run.ok_share:.2%}",
            duration(run.send_p50_ms),
            duration(run.send_p99_ms),
            duration(run.poll_p50_ms),
            f"{run.per_operation:.2f}",
            f"{run.worst_lag_s:.2f} s",
        ]
        for run in compared
    ]


def table_lines(compared: Sequence[Compared]) -> Iterator[str]:
    """Return the table as plain lines."""
    cells = [list(HEADS), *rows(compared)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(HEADS))]
    for row in cells:
        first, *others = row
        shown = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *shown])
    for run in compared:
        if not run.valid:
            yield f"{run.run_name} is INVALID: {run.reasons}"


def write_comparison(path: Path, compared: Sequence[Compared], seed: int) -> None:
    """Write the page to `path`, replacing what is there."""
    path.write_text(render_comparison(compared, seed), encoding="utf-8")


def render_comparison(compared: Sequence[Compared], seed: int) -> str:
    """Return the page as HTML."""
    names = [run.run_name for run in compared]
    colours = {name: f"c{place % 8}" for place, name in enumerate(names)}
    header = tag(
        "header",
        tag("p", "Tidings workbench", class_="brand"),
        tag("h1", " and ".join(names) if len(names) < 3 else ", ".join(names)),
        tag("p", f"The same workload and the same faults, in turn: seed {seed}.", class_="dim"),
    )
    links = [
        tag("a", f"Report of {run.run_name}", href=f"{run.run_name}/{REPORT}") for run in compared
    ]
    invalid = [
        tag("p", f"{run.run_name}: {run.reasons}", class_="missing")
        for run in compared
        if not run.valid
    ]
    sections = [
        tag("section", table(list(HEADS), rows(compared)), *invalid, id="table"),
        tag(
            "section",
            tag("h2", "Messages between servers, for each operation"),
            _bars({run.run_name: run.by_peer for run in compared}),
            id="bars",
        ),
        tag("section", tag("h2", "Over time"), _over_time(compared, colours), id="time"),
    ]
    return document(f"Compared: {', '.join(names)}", header, tag("nav", *links), *sections)


def _over_time(compared: Sequence[Compared], colours: Mapping[str, str]) -> Markup:
    return join(
        tag("h3", "Median latency of sends"),
        _overlay(compared, colours, "ms", {run.run_name: run.send_ms for run in compared}),
        tag("h3", "Operations that ended ok, a second"),
        _overlay(compared, colours, "/s", {run.run_name: run.rates for run in compared}),
    )


def _overlay(
    compared: Sequence[Compared],
    colours: Mapping[str, str],
    unit: str,
    series: Mapping[str, Sequence[Value]],
) -> Markup:
    end_s = max(run.bins.end_s for run in compared)
    # The schedule is the same for all, so that the faults of one are those of each.
    troubles = compared[0].troubles
    scale = latency_scale() if unit == "ms" else linear(*series.values())
    frame = Frame((0.0, end_s), scale, unit, troubles, f"{unit} over time, by run")
    for run in compared:
        frame.line(run.bins, series[run.run_name], colours[run.run_name])
    return join(frame.draw(), legend({**colours, **trouble_legend(troubles)}))


def _bars(by_run: Mapping[str, Mapping[str, float]]) -> Markup:
    """Draw one bar for each run, cut by who takes part in the messages."""
    peers = dict.fromkeys(peer for parts in by_run.values() for peer in parts)
    used = [peer for peer in peers if any(parts.get(peer) for parts in by_run.values())]
    colours = {peer: f"c{place % 8}" for place, peer in enumerate(used)}
    most = max((sum(parts.values()) for parts in by_run.values()), default=0) or 1
    drawn: list[Markup] = []
    for number, (name, parts) in enumerate(by_run.items()):
        y, x = number * _BAR_ROW, float(_BAR_LABELS)
        drawn.append(tag("text", name, x=_BAR_LABELS - 10, y=y + 20, class_="rowlabel end"))
        for peer in used:
            width = parts.get(peer, 0.0) / most * _BAR_WIDTH
            tip = tag("title", f"{peer}: {parts.get(peer, 0.0):.2f}")
            style = f"bar {colours[peer]}"
            drawn.append(tag("rect", tip, x=x, y=y + 4, width=width, height=24, class_=style))
            x += width
        drawn.append(tag("text", f"{sum(parts.values()):.2f}", x=x + 8, y=y + 20, class_="tick"))
    size = f"0 0 {_BAR_LABELS + _BAR_WIDTH + 60} {len(by_run) * _BAR_ROW + 4}"
    label = "messages for each operation"
    chart = tag("svg", *drawn, viewBox=size, role="img", aria_label=label)
    return join(tag("div", chart, class_="chart"), legend(colours))
