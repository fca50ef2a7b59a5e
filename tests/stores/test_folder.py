"""The data folder: made once, open in one process at a time, refused when it is something else."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from real_loop import run_real

from tidings.errors import Corrupt, InvalidRequest, Unavailable
from tidings.ports import Appended
from tidings.stores.folder import IDENTITY_FILE, JOURNAL_FILE, locked, open_folder
from tidings.types import Slot


def test_folder_is_made_with_a_cluster_id_that_stays(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "made" / "here"
        async with open_folder(path, Random(1)) as folder:
            assert await folder.order.append(Slot(0), b"a") == Appended()
            await folder.blobs.put("x", b"1")
            cluster_id = folder.cluster_id
        assert len(cluster_id) == 22
        async with open_folder(path, Random(2)) as folder:
            assert folder.cluster_id == cluster_id
            assert await folder.order.read(Slot(0), 9) == [b"a"]
            assert await folder.blobs.get("x") == b"1"
        async with open_folder(tmp_path / "other", Random(2)) as folder:
            assert folder.cluster_id != cluster_id

    run_real(main())


def test_second_process_is_told_at_once_who_has_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SECOND, str(tmp_path)]
    with locked(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=True)
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"in use by process {os.getpid()}" in second.stdout
    assert third.stdout == "opened\n"


SECOND = """
import sys
from pathlib import Path
from tidings.errors import Unavailable
from tidings.stores.folder import locked
try:
    with locked(Path(sys.argv[1])):
        print("opened")
except Unavailable as error:
    print(error)
"""


def test_second_opening_in_the_same_process_is_refused_as_well(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(Unavailable, match="choose another folder"),
        locked(tmp_path),
    ):
        raise AssertionError("both have it")
    with locked(tmp_path):
        pass


def opening(path: Path, error: type[Exception], match: str) -> None:
    async def main() -> None:
        with pytest.raises(error, match=match):
            async with open_folder(path, Random(1)):
                raise AssertionError("it was opened")

    run_real(main())


def make(path: Path) -> None:
    async def main() -> None:
        async with open_folder(path, Random(1)):
            pass

    run_real(main())


def test_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    opening(tmp_path, InvalidRequest, r"holds letters\.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters.txt", "lock"]


def test_folder_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / f"{IDENTITY_FILE}.new").write_text("{")
    make(tmp_path)


def test_folder_without_its_identity_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / IDENTITY_FILE).unlink()
    opening(tmp_path, Corrupt, "lost")


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "\udcff"])
def test_folder_with_a_damaged_identity_is_refused(tmp_path: Path, text: str) -> None:
    make(tmp_path)
    (tmp_path / IDENTITY_FILE).write_text(text, errors="surrogateescape")
    opening(tmp_path, Corrupt, "damaged")


def test_folder_of_a_later_version_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / IDENTITY_FILE).write_text('{"format": 2, "cluster_id": "x"}')
    opening(tmp_path, Corrupt, "layout 2")


def test_folder_with_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / JOURNAL_FILE).write_bytes(b"something else, long enough" * 100)
    opening(tmp_path, Corrupt, "damaged")
    opening(tmp_path, Corrupt, "damaged")


def test_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    opening(tmp_path / "file" / "folder", Unavailable, "cannot be used")


def test_error_of_who_uses_the_folder_stays_as_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionError):
            async with open_folder(tmp_path, Random(1)):
                raise ConnectionError("not the folder's")

    run_real(main())
