"""When something was wrong during a run, read off its history."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tidings.checker.history import Event
from tidings.workbench.progress import tell_target

_ENDS: Final = {"start": "kill", "resume": "pause"}
_BEGINNINGS: Final = ("kill", "pause")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One time in which one fault was on."""

    fault: str
    begin_s: float
    end_s: float
    detail: str


def find_troubles(history: Iterable[Event], duration_s: float) -> list[Trouble]:
    """Return all of them in order of their ends; one that never ended lasts until the end."""
    begun: dict[str, tuple[float, str]] = {}
    found: list[Trouble] = []
    for event in history:
        if event.process != "nemesis":
            continue
        time_s = event.time / 1e9
        fault, begins = _read(event.f)
        if begins:
            begun.setdefault(fault, (time_s, tell_target(event.value)))
        elif fault in begun:
            begin_s, detail = begun.pop(fault)
            found.append(Trouble(fault, begin_s, time_s, detail))
    found += [Trouble(fault, start, duration_s, detail) for fault, (start, detail) in begun.items()]
    return found


def _read(f: str) -> tuple[str, bool]:
    """Return the fault and whether it begins."""
    if f in _ENDS:
        return _ENDS[f], False
    if f in _BEGINNINGS:
        return f, True
    return f.removeprefix("start-").removeprefix("stop-"), f.startswith("start-")
