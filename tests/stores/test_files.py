"""The blob store in files: what outlives it, and disks that are full or damaged."""

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from real_loop import opened_blobs, run_real

from tidings.errors import Corrupt, Unavailable
from tidings.stores.files import blob_files
from tidings.stores.files.blob_files import BlobFiles, check_blob_file
from tidings.stores.files.layout import BLOCK_BYTES, decode_header, encode_header, header_bytes

DATA = Random("data").randbytes(3 * BLOCK_BYTES + 100)


def prepared(folder: Path) -> BlobFiles:
    files = BlobFiles(folder)
    files.prepare()
    return files


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_blob_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened_blobs(tmp_path) as blobs:
            await blobs.put("page/1", DATA)
            await blobs.put("page/2", b"")
            await blobs.put("page/3", b"gone")
            await blobs.delete("page/3")
        async with opened_blobs(tmp_path) as blobs:
            assert await blobs.get("page/1") == DATA
            assert await blobs.get("page/2") == b""
            assert await blobs.get("page/3") is None

    run_real(main())


def test_d1_what_was_left_half_written_is_removed_and_was_never_a_blob(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    (tmp_path / "new" / "0").write_bytes(encode_header("x", DATA) + DATA[:100])
    assert files.get("x") is None
    files = prepared(tmp_path)
    assert files_in(tmp_path) == []
    files.put("x", DATA)
    assert files.get("x") == DATA
    assert files_in(tmp_path) == [files.path("x")]


def test_d1_blob_that_is_put_again_is_not_written_again(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    before = files.path("x").stat().st_ino
    files.put("x", DATA)
    assert files.path("x").stat().st_ino == before


def test_d1_put_that_lost_a_race_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    files.put("x", b"another, which the contract forbids")
    assert files.get("x") == DATA
    assert files_in(tmp_path) == [files.path("x")]


@pytest.mark.parametrize("call", ["open", "writev", "fdatasync", "link"])
def test_d1_put_on_a_disk_that_fails_is_unavailable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    async def main() -> None:
        async with opened_blobs(tmp_path) as blobs:
            with monkeypatch.context() as patch:
                patch.setattr(os, call, full_disk)
                with pytest.raises(Unavailable, match="No space left"):
                    await blobs.put("x", DATA)
            assert files_in(tmp_path) == []
            assert await blobs.get("x") is None
            await blobs.put("x", DATA)
            assert await blobs.get("x") == DATA

    run_real(main())


def full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_d2_put_is_not_done_before_the_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with opened_blobs(tmp_path) as blobs:
            await blobs.put("x", DATA)
            monkeypatch.setattr(os, "fsync", full_disk)
            for name in ("x", "y"):
                with pytest.raises(Unavailable):
                    await blobs.put(name, DATA)

    run_real(main())


def test_d2_new_folder_is_synced_once_in_each_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(blob_files, "_sync_folder", synced.append)
    for _ in range(2):
        files = prepared(tmp_path)
        own = files.path("x").parent
        synced.clear()
        files.put("x", DATA)
        # A life before may have ended between making it and syncing it.
        assert synced == [own, tmp_path]
        files.put("x", DATA)
        assert synced == [own, tmp_path, own]


def test_write_that_the_disk_takes_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, parts: writev(file, [parts[0][:1000]]))
    files = prepared(tmp_path)
    files.put("x", DATA)
    assert files.get("x") == DATA


# Damage -----------------------------------------------------------------------------------------


def test_file_of_version_1_is_read_and_checked(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    path = files.path("x")
    path.parent.mkdir()
    sound = encode_header("x", DATA, 1) + DATA
    path.write_bytes(sound)
    assert sound[4] == 1
    assert files.get("x") == DATA
    assert check_blob_file(path) == "x"
    for place in (20, len(sound) - 1):
        damaged = bytearray(sound)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="damaged"):
            files.get("x")


def test_any_flipped_bit_is_reported(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    files.put("other", b"sound")
    path = files.path("x")
    sound = path.read_bytes()
    rng = Random("flips")
    places = [*range(100), *(rng.randrange(len(sound)) for _ in range(100)), len(sound) - 1]
    for place in places:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="damaged"):
            files.get("x")
        with pytest.raises(Corrupt, match="damaged"):
            check_blob_file(path)
    assert files.get("other") == b"sound"


@pytest.mark.parametrize("size_bytes", [0, 1, 14, 40, 4000, BLOCK_BYTES, len(DATA)])
def test_blob_that_was_cut_off_is_reported(tmp_path: Path, size_bytes: int) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    os.truncate(files.path("x"), size_bytes)
    with pytest.raises(Corrupt, match="damaged"):
        files.get("x")
    with pytest.raises(Corrupt, match="damaged"):
        files.get_range("x", 0, 1)


def test_range_is_checked_and_needs_only_its_own_blocks_sound(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    damaged = bytearray(files.path("x").read_bytes())
    header = len(damaged) - len(DATA)
    damaged[header + BLOCK_BYTES + 5] ^= 1
    files.path("x").write_bytes(damaged)
    assert files.get_range("x", 0, BLOCK_BYTES) == DATA[:BLOCK_BYTES]
    assert files.get_range("x", 2 * BLOCK_BYTES, 9) == DATA[2 * BLOCK_BYTES : 2 * BLOCK_BYTES + 9]
    for position, size_bytes in [(BLOCK_BYTES, 1), (BLOCK_BYTES - 1, 2), (0, len(DATA))]:
        with pytest.raises(Corrupt, match=f"bytes {BLOCK_BYTES} to {2 * BLOCK_BYTES}"):
            files.get_range("x", position, size_bytes)


def test_blob_in_the_place_of_another_is_reported(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    files.put("x", DATA)
    files.put("y", b"1")
    files.path("y").write_bytes(files.path("x").read_bytes())
    with pytest.raises(Corrupt, match="holds blob x"):
        files.get("y")
    with pytest.raises(Corrupt, match="does not belong"):
        check_blob_file(files.path("y"))


def test_header_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    data = bytes(2000 * BLOCK_BYTES)
    files = prepared(tmp_path)
    files.put("x", data)
    assert header_bytes(encode_header("x", data)) > blob_files.FIRST_READ_BYTES
    assert files.get_range("x", len(data) - 5, 10) == bytes(5)
    assert check_blob_file(files.path("x")) == "x"


@pytest.mark.parametrize("head", [b"", b"TDGB", b"\0" * 100, encode_header("x", b"1")[:-1]])
def test_bytes_that_are_no_header_are_none(head: bytes) -> None:
    assert decode_header(head) is None


def test_blob_files_are_listed_without_those_being_written(tmp_path: Path) -> None:
    files = prepared(tmp_path)
    for name in ("a", "b", "c"):
        files.put(name, name.encode())
    (tmp_path / "new" / "77").write_bytes(b"half")
    assert sorted(check_blob_file(path) for path in files.paths()) == ["a", "b", "c"]
