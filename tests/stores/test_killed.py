"""Stores whose process is killed at any moment keep what they said is done."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from real_loop import run_real
from store_until_killed import blob_of, entry_of, find_end

from tidings.ports import Trimmed
from tidings.stores.folder import open_folder
from tidings.types import Slot

KILLS = 8
LINES_MAX = 120

SCRIPT = Path(__file__).with_name("store_until_killed.py")


@dataclass
class Promised:
    """What the processes said."""

    appended: int = -1
    """The last slot."""
    trimmed: int = 0
    deleted: list[int] = field(default_factory=list)

    def note(self, line: str) -> None:
        match line.split():
            case ["appended", slot]:
                assert int(slot) in (self.appended + 1, self.appended + 2)
                self.appended = int(slot)
            case ["trimmed", below]:
                self.trimmed = int(below)
            case ["deleted", slot]:
                self.deleted.append(int(slot))
            case _:
                assert line == "open\n"


def run_and_kill(folder: Path, line_count: int, promised: Promised) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        for _, line in zip(range(line_count), process.stdout, strict=False):
            promised.note(line)
        process.kill()
        # What it had said before it was killed is a promise as well.
        for line in process.stdout:
            if line.endswith("\n"):
                promised.note(line)


async def check(path: Path, promised: Promised) -> None:
    async with open_folder(path, Random(1)) as folder:
        end = await find_end(folder)
        assert end in (promised.appended + 1, promised.appended + 2)
        first = 0
        while await folder.order.read(Slot(first), 1) == Trimmed():
            first += 1
        assert first >= promised.trimmed
        assert await folder.order.read(Slot(first), end) == list(map(entry_of, range(first, end)))
        for slot in range(first, end):
            assert await folder.blobs.get(f"blob/{slot}") == blob_of(slot)
        for slot in promised.deleted:
            assert await folder.blobs.get(f"blob/{slot}") is None
    assert list((path / "blobs" / "new").iterdir()) == []


@pytest.mark.real
def test_stores_that_are_killed_keep_what_they_acknowledged(tmp_path: Path) -> None:
    rng = Random("kills")
    promised = Promised()
    for _ in range(KILLS):
        run_and_kill(tmp_path, rng.randrange(1, LINES_MAX), promised)
        run_real(check(tmp_path, promised))
    assert promised.trimmed > 0
