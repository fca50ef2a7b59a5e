"""Reads a run back from its folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tidings.checker.history import Event, load_history
from tidings.checker.kafka import check
from tidings.checker.verdict import Verdict
from tidings.errors import InvalidRequest
from tidings.types import Json
from tidings.workbench.figures import MessageFigures, measure
from tidings.workbench.message_log import MESSAGES
from tidings.workbench.report.record import RunRecord
from tidings.workbench.summary import reasons

HISTORY: Final = "history.jsonl"
RESULTS: Final = "results.json"

INTERRUPTED: Final = "interrupted: this judges only what happened until then, without final polls"


class _Results(msgspec.Struct):
    """What `results.json` holds, as far as a report needs it."""

    settings: dict[str, Json]
    interrupted: bool = False
    main_phase_s: float = 0.0
    main_phase_operations: int = 0
    messages: MessageFigures | None = None


def load_record(
    path: Path, history: Sequence[Event] | None = None, verdict: Verdict | None = None
) -> RunRecord:
    """Return what is known of the run whose history is in `path`.

    Args:
        path: The history; what else a run leaves behind is looked for beside it.
        history: Its events, if they are read already.
        verdict: The judgement, if it is known already.

    Raises:
        InvalidRequest: The file is no history, or the results beside it are none.
    """
    events = load_history(path) if history is None else history
    judged = check(events) if verdict is None else verdict
    results = _read_results(path) if path.name == HISTORY else None
    if results is None:
        return RunRecord(
            name=path.name,
            history=events,
            verdict=judged,
            reasons=reasons(judged),
            figures=measure(events),
        )
    return RunRecord(
        name=str(results.settings.get("name", path.parent.name)),
        history=events,
        verdict=judged,
        reasons=reasons(judged),
        figures=measure(events),
        note=INTERRUPTED.capitalize() + "." if results.interrupted else None,
        settings=results.settings,
        messages=results.messages,
        rate=results.main_phase_operations / results.main_phase_s if results.main_phase_s else None,
        messages_path=path.parent / MESSAGES,
    )


def _read_results(path: Path) -> _Results | None:
    beside = path.parent / RESULTS
    if not beside.exists():
        return None
    try:
        return msgspec.json.decode(beside.read_bytes(), type=_Results)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(
            f"{beside}: not the results of a run: {error}. Move it away to judge the history alone."
        ) from error
