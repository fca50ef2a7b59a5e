"""What `tidings challenge` and `tidings check` do: run, save, judge, say it.

Exit statuses: 0 valid, 1 anomalies, 2 could not run, 130 interrupted. An interrupt ends the run
at once; what happened until then is saved and judged for whoever watches, but without final polls
nobody can tell what would have stayed unseen, so the status promises nothing.
"""

import asyncio
import signal
from pathlib import Path
from typing import Final

import msgspec

from tidings.checker.history import load_history, save_history
from tidings.checker.kafka import check
from tidings.checker.verdict import Verdict
from tidings.types import Json
from tidings.workbench.figures import Figures, MessageFigures, measure, measure_messages
from tidings.workbench.report import (
    anomaly_lines,
    figure_lines,
    join,
    lag_lines,
    message_lines,
    never_ok,
    verdict_lines,
)
from tidings.workbench.runner import Outcome, Say, Spectator, run
from tidings.workbench.settings import Settings

EXIT_VALID: Final = 0
EXIT_ANOMALIES: Final = 1
EXIT_COULD_NOT_RUN: Final = 2
EXIT_INTERRUPTED: Final = 130

HISTORY: Final = "history.jsonl"
RESULTS: Final = "results.json"


def challenge(settings: Settings, spectator: Spectator) -> int:
    """Carry out one run, save and judge it, and return the exit status.

    Args:
        settings: What to do; `settings.store` is where everything is saved.
        spectator: Watches, and takes the report, line by line.
    """
    say = spectator.say
    outcome = asyncio.run(_run_until_signal(settings, spectator))
    history_path = settings.store / HISTORY
    save_history(history_path, outcome.history)
    if outcome.failure is not None:
        _save_results(settings, {"failure": outcome.failure})
        say(f"could not run: {outcome.failure}")
        return EXIT_COULD_NOT_RUN
    return _judge_outcome(settings, outcome, say)


def check_file(path: Path, *, say: Say) -> int:
    """Judge the history in `path` and return the exit status.

    Raises:
        InvalidRequest: The file is no history.
    """
    history = load_history(path)
    verdict = check(history)
    report = join(
        anomaly_lines(verdict, history),
        [""],
        figure_lines(measure(history)),
        lag_lines(verdict),
        ["", *verdict_lines(verdict)],
    )
    say(report)
    return _status(verdict)


def _status(verdict: Verdict) -> int:
    return EXIT_VALID if verdict.valid and not never_ok(verdict) else EXIT_ANOMALIES


async def _run_until_signal(settings: Settings, spectator: Spectator) -> Outcome:
    interrupt = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt.set)
    return await run(settings, spectator=spectator, interrupt=interrupt)


def _judge_outcome(settings: Settings, outcome: Outcome, say: Say) -> int:
    verdict = check(outcome.history)
    if outcome.is_interrupted:
        verdict = _without_unseen(verdict)
    figures = measure(outcome.history)
    messages = measure_messages(outcome.traffic, figures.operations)
    _save_results(settings, _results(outcome, verdict, figures, messages))
    say(
        join(
            anomaly_lines(verdict, outcome.history),
            [""],
            figure_lines(figures),
            [_rate_line(settings, outcome)],
            message_lines(messages),
            lag_lines(verdict),
            [f"{'history':<10}{settings.store / HISTORY}", ""],
            verdict_lines(verdict),
        )
    )
    if outcome.is_interrupted:
        say("interrupted: this judges only what happened until then, without final polls")
        return EXIT_INTERRUPTED
    return _status(verdict)


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
    asked = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in ((name, getattr(settings, name)) for name in settings.__slots__)
    }
    text = msgspec.json.format(msgspec.json.encode({"settings": asked, **results}), indent=2)
    (settings.store / RESULTS).write_bytes(text + b"\n")
