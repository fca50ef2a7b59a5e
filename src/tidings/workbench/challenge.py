"""What `tidings challenge` and `tidings check` do: run, save, judge, say it.

Exit statuses: 0 valid, 1 anomalies, 2 could not run, 130 interrupted. An interrupt ends the run
at once; what happened until then is saved and judged for whoever watches, but without final polls
nobody can tell what would have stayed unseen, so the status promises nothing.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tidings.checker.history import save_history
from tidings.checker.kafka import check
from tidings.checker.verdict import Verdict
from tidings.types import Json
from tidings.workbench.figures import Figures, MessageFigures, measure, measure_messages
from tidings.workbench.report.compare import (
    COMPARISON,
    Compared,
    summarize,
    table_lines,
    write_comparison,
)
from tidings.workbench.report.load import HISTORY, INTERRUPTED, RESULTS, load_record
from tidings.workbench.report.page import REPORT, write_report
from tidings.workbench.report.record import RunRecord
from tidings.workbench.runner import Outcome, Say, Spectator
from tidings.workbench.runner import run as carry_out_run
from tidings.workbench.settings import Settings
from tidings.workbench.summary import (
    anomaly_lines,
    figure_lines,
    join,
    lag_lines,
    message_lines,
    never_ok,
    verdict_lines,
)

EXIT_VALID: Final = 0
EXIT_ANOMALIES: Final = 1
EXIT_COULD_NOT_RUN: Final = 2
EXIT_INTERRUPTED: Final = 130


def challenge(settings: Settings, spectator: Spectator) -> int:
    """Carry out one run, save and judge it, and return the exit status.

    Args:
        settings: What to do; `settings.store` is where everything is saved.
        spectator: Watches, and takes the report, line by line.
    """
    status, _ = _carry_out(settings, spectator)
    return status


def compare(all_settings: Sequence[Settings], store: Path, spectator: Spectator) -> int:
    """Carry out several runs in turn, show them side by side, and return the worst exit status.

    Args:
        all_settings: What to do; each with a name and a store of its own.
        store: Where the comparison is saved.
        spectator: Watches, and takes the reports, line by line.
    """
    compared: list[Compared] = []
    worst = EXIT_VALID
    for settings in all_settings:
        spectator.say(f"\n{settings.name}")
        status, run = _carry_out(settings, spectator)
        worst = max(worst, status)
        if run is not None:
            compared.append(summarize(run))
        if status == EXIT_INTERRUPTED:
            break
    if compared:
        write_comparison(store / COMPARISON, compared, all_settings[0].seed)
        lines = [*table_lines(compared), f"comparison {store / COMPARISON}"]
        spectator.say("\n" + "\n".join(lines))
    return worst


def _carry_out(settings: Settings, spectator: Spectator) -> tuple[int, RunRecord | None]:
    outcome = asyncio.run(_run_until_signal(settings, spectator))
    save_history(settings.store / HISTORY, outcome.history)
    if outcome.failure is not None:
        _save_results(settings, {"failure": outcome.failure})
        spectator.say(f"could not run: {outcome.failure}")
        return EXIT_COULD_NOT_RUN, None
    return _judge_outcome(settings, outcome, spectator.say)


def check_file(path: Path, *, say: Say, report: Path | None = None) -> int:
    """Judge the history in `path`, write a report if asked to, and return the exit status.

    Raises:
        InvalidRequest: The file is no history.
    """
    run = load_record(path)
    text = join(
        anomaly_lines(run.verdict, run.history),
        [""],
        figure_lines(run.figures),
        lag_lines(run.verdict),
        ["", *verdict_lines(run.verdict)],
    )
    say(text)
    if report is not None:
        write_report(report, run)
        say(f"report    {report}")
    return _status(run.verdict)


def _status(verdict: Verdict) -> int:
    return EXIT_VALID if verdict.valid and not never_ok(verdict) else EXIT_ANOMALIES


async def _run_until_signal(settings: Settings, spectator: Spectator) -> Outcome:
    interrupt = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt.set)
    return await carry_out_run(settings, spectator=spectator, interrupt=interrupt)


def _judge_outcome(settings: Settings, outcome: Outcome, say: Say) -> tuple[int, RunRecord]:
    verdict = check(outcome.history)
    if outcome.is_interrupted:
        verdict = _without_unseen(verdict)
    figures = measure(outcome.history)
    messages = measure_messages(outcome.traffic, figures.operations)
    _save_results(settings, _results(outcome, verdict, figures, messages))
    run = load_record(settings.store / HISTORY, outcome.history, verdict)
    write_report(settings.store / REPORT, run)
    say(
        join(
            anomaly_lines(verdict, outcome.history),
            [""],
            figure_lines(figures),
            [_rate_line(settings, outcome)],
            message_lines(messages),
            lag_lines(verdict),
            [f"{'report':<10}{settings.store / REPORT}", ""],
            verdict_lines(verdict),
        )
    )
    if outcome.is_interrupted:
        say(INTERRUPTED)
        return EXIT_INTERRUPTED, run
    return _status(verdict), run


def _without_unseen(verdict: Verdict) -> Verdict:
    """Return the verdict of a run without final polls, in which everything recent is unseen."""
    bad = [name for name in verdict.bad if name != "unseen"]
    anomalies = {name: found for name, found in verdict.anomalies.items() if name != "unseen"}
    return msgspec.structs.replace(verdict, valid=not bad, bad=bad, anomalies=anomalies)


def _rate_line(settings: Settings, outcome: Outcome) -> str:
    rate = outcome.main_phase_operations / max(outcome.main_phase_s, 1e-9)
    return (
        f"{'rate':<10}{rate:>9.1f} operations a second over {outcome.main_phase_s:.1f} s "
        f"({settings.rate:g} wanted)"
    )


def _results(
    outcome: Outcome, verdict: Verdict, figures: Figures, messages: MessageFigures
) -> dict[str, Json]:
    return {
        "valid": verdict.valid and not never_ok(verdict),
        "interrupted": outcome.is_interrupted,
        "main_phase_s": outcome.main_phase_s,
        "main_phase_operations": outcome.main_phase_operations,
        "verdict": verdict,
        "figures": figures,
        "messages": messages,
    }


def _save_results(settings: Settings, results: dict[str, Json]) -> None:
    text = msgspec.json.format(
        msgspec.json.encode({"settings": settings.as_json(), **results}), indent=2
    )
    (settings.store / RESULTS).write_bytes(text + b"\n")
