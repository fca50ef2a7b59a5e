"""`tidings verify` on data folders that a broker left, sound and damaged in every way."""

import asyncio
import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from tidings.cli import main as tidings
from tidings.core.pages import IN_SEGMENTS
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.errors import Unavailable
from tidings.ports import AppendOutcome
from tidings.stores.files import layout
from tidings.stores.files.blob_files import BlobFiles, check_blob_file
from tidings.stores.folder import open_folder
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset, Slot, TopicPartition
from tidings.verify import Report, verify_folder

SMALL = TopicPartition("small", 0)
LARGE = TopicPartition("large", 0)
SMALL_COUNT = 600
LARGE_COUNT = 6
"""One slot for each batch: two sealed pages and a checkpoint, and a tail that is in no page."""

PAGES = replace(IN_SEGMENTS, slots_max=256)
"""Those of a data folder, but smaller."""


class Alone:
    def __init__(self) -> None:
        self.node_id = "n0"
        self.node_ids = ["n0"]

    def send(self, node_id: str, message: bytes) -> None:
        raise AssertionError(f"nobody is {node_id}: {message!r}")


class Midnight:
    def now_ms(self) -> int:
        return 0


class Remembering(MemoryOrderStore):
    """Keeps a copy of what is trimmed."""

    def __init__(self) -> None:
        super().__init__()
        self.everything: list[bytes] = []

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        assert slot == len(self.everything)
        self.everything.append(entry)
        return await super().append(slot, entry)


async def fill(order: MemoryOrderStore, blobs: MemoryBlobStore) -> None:
    """Let the engine append batches, one at a time."""
    rng = random.Random("log")
    settings = Settings(checkpoint_pages=1, linger_s=0, courtesy=0)
    log = Log(
        order,
        blobs,
        peers=Alone(),
        clock=Midnight(),
        rng=rng,
        settings=settings,
        page_format=PAGES,
    )
    async with asyncio.TaskGroup() as tasks:
        node = tasks.create_task(log.run())
        await log.create_topic("small")
        await log.create_topic("large")
        for number in range(SMALL_COUNT):
            await log.append(SMALL, b"small %d" % number)
            if number % (SMALL_COUNT // LARGE_COUNT) == 0:
                await log.append(LARGE, rng.randbytes(40_000), record_count=10)
        await asyncio.sleep(60)
        node.cancel()


async def store(path: Path, order: Remembering, blobs: MemoryBlobStore) -> None:
    """Copy what is in memory into a data folder."""
    async with open_folder(path, random.Random(1)) as folder:
        folder.order._writer_connection.execute("PRAGMA synchronous = OFF")
        for slot, entry in enumerate(order.everything):
            await folder.order.append(Slot(slot), entry)
        await folder.order.trim(order._trimmed)
        for name, value in order._cells.items():
            await folder.order.swap_cell(name, None, value)
        for name, data in blobs._blobs.items():
            await folder.blobs.put(name, data)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    order, blobs = Remembering(), MemoryBlobStore()
    run(fill(order, blobs))
    path = tmp_path_factory.mktemp("sample") / "data"
    asyncio.run(store(path, order, blobs))
    return path


@pytest.fixture
def path(sample: Path, tmp_path: Path) -> Path:
    """A folder of one's own to damage."""
    return Path(shutil.copytree(sample, tmp_path / "data"))


def blob_file(path: Path, name: str) -> Path:
    return BlobFiles(path / "blobs").path(name)


def data_blobs(path: Path) -> list[str]:
    names = map(check_blob_file, BlobFiles(path / "blobs").paths())
    return sorted(name for name in names if name.startswith("data/"))


def flip(file: Path, position: int = -1) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[position] ^= 1
    file.write_bytes(damaged)


def change(path: Path, statement: str) -> None:
    """Change the journal's file behind everybody's back."""
    connection = apsw.Connection(str(path / "journal.sqlite"))
    connection.execute(statement)
    connection.close()


def test_folder_that_is_sound_is_said_to_be(path: Path) -> None:
    report = verify_folder(path)
    assert report.is_sound
    assert report.lines()[:-1] == []
    created_and_reserved = 3
    slots = SMALL_COUNT + LARGE_COUNT + created_and_reserved - 2 * PAGES.slots_max
    assert report.slot_count == slots
    assert report.blob_count > LARGE_COUNT
    assert report.partition_count == 2


def test_every_index_page_is_read_once_and_no_sound_blob_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    get = BlobFiles.get

    def note(files: BlobFiles, name: str) -> bytes | None:
        names.append(name)
        return get(files, name)

    monkeypatch.setattr(BlobFiles, "get", note)
    assert verify_folder(path).partition_count == 2
    assert sorted(name.split("/")[0] for name in names) == ["checkpoint", "index", "index"]


def test_damaged_data_blob_costs_just_its_records(path: Path) -> None:
    (name, *_) = data_blobs(path)
    flip(blob_file(path, name))
    report = verify_folder(path)
    assert len(report.damages) == 1
    assert name in report.damages[0]
    assert list(report.lost) == [LARGE]
    ((first, last, reason),) = report.lost[LARGE]
    assert (first % 10, last) == (0, first + 9)
    assert name in reason


def test_missing_data_blobs_are_named_with_their_records(path: Path) -> None:
    for name in data_blobs(path):
        blob_file(path, name).unlink()
    report = verify_folder(path)
    lost = report.lost[LARGE]
    assert [(first, last) for first, last, _ in lost] == [
        (10 * number, 10 * number + 9) for number in range(LARGE_COUNT)
    ]
    assert all("is missing" in reason for _, _, reason in lost)


def test_damaged_index_page_costs_the_records_that_only_it_can_find(path: Path) -> None:
    flip(blob_file(path, "index/0"))
    report = verify_folder(path)
    assert set(report.lost) == {SMALL, LARGE}
    ((first, last, reason),) = report.lost[SMALL]
    assert first == 0
    assert 200 < last < 256
    assert "index page 0" in reason


def test_damaged_segment_costs_the_small_batches_of_its_page(path: Path) -> None:
    flip(blob_file(path, "segment/0"))
    report = verify_folder(path)
    assert list(report.lost) == [SMALL]
    lost = report.lost[SMALL]
    assert lost[0][0] == 0
    assert 200 < lost[-1][1] < 256
    assert all("segment/0" in reason for _, _, reason in lost)


def test_damaged_segment_costs_only_what_lies_in_the_damaged_block(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BlobFiles(path / "blobs")
    blobs = {name: files.get(name) for name in map(check_blob_file, files.paths())}
    # A block that holds some forty of these small batches.
    monkeypatch.setattr(layout, "BLOCK_BYTES", 400)
    for name, data in blobs.items():
        assert data is not None
        files.delete(name)
        files.put(name, data)
    assert verify_folder(path).is_sound
    flip(blob_file(path, "segment/0"))
    ((first, last, reason),) = verify_folder(path).lost[SMALL]
    assert "segment/0" in reason
    assert 200 < first < last < 256


def test_damaged_slot_after_the_checkpoint_stops_the_fold(path: Path) -> None:
    change(path, "UPDATE slot SET entry = x'00' WHERE slot = 600")
    report = verify_folder(path)
    assert any("beyond slot 600" in damage for damage in report.damages)


def test_missing_slots_are_reported(path: Path) -> None:
    change(path, "DELETE FROM slot WHERE slot BETWEEN 550 AND 559")
    report = verify_folder(path)
    assert "slots 550 to 559 are missing" in report.damages
    assert any("beyond slot 550" in damage for damage in report.damages)


@pytest.mark.parametrize("cell", ["x'31'", "x'00'"])
def test_damaged_cell_is_reported(path: Path, cell: str) -> None:
    change(path, f"UPDATE cell SET value = {cell}")
    assert any("checkpoint" in damage for damage in verify_folder(path).damages)


def test_damaged_boundary_is_reported(path: Path) -> None:
    change(path, "UPDATE boundary SET below = 5")
    assert any("boundary" in damage for damage in verify_folder(path).damages)


@pytest.mark.parametrize("spoil", [Path.unlink, flip])
def test_checkpoint_that_cannot_be_read_is_reported(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(blob_file(path, "checkpoint/512"))
    report = verify_folder(path)
    assert any("no node can start" in damage for damage in report.damages)


def test_journal_that_is_no_file_of_sqlite_is_reported_and_blobs_are_read_all_the_same(
    path: Path,
) -> None:
    (path / "journal.sqlite").write_bytes(b"?" * 5000)
    (name, *_) = data_blobs(path)
    flip(blob_file(path, name))
    report = verify_folder(path)
    assert len(report.damages) == 2


def test_identity_that_is_missing_is_reported(path: Path) -> None:
    (path / "tidings.json").unlink()
    assert any("tidings.json" in damage for damage in verify_folder(path).damages)


def test_orphans_are_counted_and_hurt_nobody(path: Path) -> None:
    BlobFiles(path / "blobs").put("data/n0/orphan/1", b"nobody names it")
    report = verify_folder(path)
    assert report.is_sound
    assert report.orphan_count == verify_folder(path).orphan_count
    assert "named by nothing" in report.lines()[-1]


def test_any_flipped_bit_is_reported_or_changes_nothing(path: Path) -> None:
    """Free space in the journal's file may change; nothing else may."""
    rng = random.Random("flips")
    files = [item for item in sorted(path.rglob("*")) if item.is_file() and item.name != "lock"]
    for _ in range(40):
        file = rng.choice(files)
        sound = file.read_bytes()
        damaged = bytearray(sound)
        damaged[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        if verify_folder(path).is_sound:
            assert content_of(path) == content_of(path, file, sound)
        file.write_bytes(sound)
        for leftover in path.glob("journal.sqlite-*"):
            leftover.unlink()


def content_of(path: Path, file: Path | None = None, instead: bytes = b"") -> list[object]:
    if file is not None:
        file.write_bytes(instead)
    connection = apsw.Connection(str(path / "journal.sqlite"))
    with contextlib.closing(connection):
        return [
            *connection.execute("SELECT * FROM slot ORDER BY slot"),
            *connection.execute("SELECT * FROM cell ORDER BY name"),
            *connection.execute("SELECT * FROM boundary"),
        ]


# The command ------------------------------------------------------------------------------------


def test_command_exits_with_0_1_and_2(path: Path, tmp_path: Path) -> None:
    sound = CliRunner().invoke(tidings, ["verify", str(path)])
    assert (sound.exit_code, sound.output.split(":")[0]) == (0, "sound")
    (name, *_) = data_blobs(path)
    flip(blob_file(path, name))
    damaged = CliRunner().invoke(tidings, ["verify", str(path)])
    assert damaged.exit_code == 1
    assert "DAMAGED" in damaged.output
    assert "LOST     large 0: offsets" in damaged.output
    nothing = CliRunner().invoke(tidings, ["verify", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "no data folder" in nothing.output


def test_folder_that_is_in_use_is_not_verified(path: Path) -> None:
    async def main() -> None:
        async with open_folder(path, random.Random(1)):
            with pytest.raises(Unavailable, match="in use by process"):
                verify_folder(path)

    asyncio.run(main())


def test_report_joins_what_lies_side_by_side() -> None:
    report = Report()
    for base in (0, 10, 20, 40):
        report.lose(LARGE, Offset(base), Offset(base + 9), "blob x")
    assert [(first, last) for first, last, _ in report.lost[LARGE]] == [(0, 29), (40, 49)]
