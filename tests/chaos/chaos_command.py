"""What both kinds of chaos have in common as commands: a folder, what they say, their status."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from chaos_judge import Judgement, tally

from tidings.checker.history import Event

VALID, INVALID, IMPOSSIBLE = 0, 1, 2
"""Exit statuses."""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def carry_out(keep: Path | None, run: Callable[[Path], Judgement]) -> int:
    """Carry out a run in a new folder, `keep` if it is given; return the exit status.

    The folder stays if it is to be kept, or something is wrong.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="tidings-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        say(f"{folder} is not empty: choose a new folder")
        return IMPOSSIBLE
    judgement = run(folder)
    if judgement.is_valid and keep is None:
        shutil.rmtree(folder)
    else:
        say(f"everything is in {folder}")
    return VALID if judgement.is_valid else INVALID


def outcomes(history: Sequence[Event], judgement: Judgement) -> Iterator[str]:
    """Say how the operations of a history ended."""
    counts = tally(history)
    for name in dict.fromkeys(name for name, _ in sorted(counts)):
        ok, fail, info = (counts[name, kind] for kind in ("ok", "fail", "info"))
        yield f"{name:11} {ok:9,}  ok, {fail:,} failed, {info:,} unknown"
    yield f"copies      {judgement.copy_count:9,}  of records whose producer tried again"


def verdict(judgement: Judgement) -> Iterator[str]:
    """Say what is wrong, and whether anything is."""
    yield from judgement.lines()
    yield "VALID" if judgement.is_valid else "INVALID"
