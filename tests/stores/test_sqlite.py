"""The order store in SQLite: what outlives it, and disks that are full, broken or damaged."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event, Thread

import apsw
import pytest
from failing_disk import NAME, FailingDisk, failing_disk
from real_loop import opened, run_real

from tidings.errors import Corrupt, Indeterminate, InvalidRequest, Unavailable
from tidings.ports import Appended, Occupied, Trimmed, Unsettled
from tidings.stores.sqlite import SqliteOrderStore, connection, store, wal
from tidings.types import Slot

ALL = 10_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    with failing_disk() as made:
        yield made


async def fill(order: SqliteOrderStore, entries: list[bytes], start: int = 0) -> None:
    for slot, entry in enumerate(entries, start):
        assert await order.append(Slot(slot), entry) == Appended()


def test_everything_is_there_when_the_store_is_opened_again(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            await fill(order, [b"a", b"b", b"c"])
            await order.trim(Slot(1))
            await order.swap_cell("x", None, b"1")
        async with opened(path) as order:
            assert await order.read(Slot(0), ALL) == Trimmed()
            assert await order.read(Slot(1), ALL) == [b"b", b"c"]
            assert await order.append(Slot(0), b"late") == Trimmed()
            assert await order.append(Slot(2), b"late") == Occupied(b"c")
            assert await order.append(Slot(3), b"d") == Appended()
            assert await order.read_cell("x") == b"1"

    run_real(main())


def test_append_beyond_the_end_breaks_the_contract(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            with pytest.raises(AssertionError, match="gap"):
                await order.append(Slot(1), b"b")
            await fill(order, [b"a"])
            with pytest.raises(AssertionError, match="gap"):
                await order.append(Slot(2), b"c")
            assert await order.read(Slot(0), ALL) == [b"a"]

    run_real(main())


def test_entry_that_is_too_large_is_refused(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            with pytest.raises(InvalidRequest, match="1048577"):
                await order.append(Slot(0), bytes(order.entry_bytes_max + 1))

    run_real(main())


def test_q1_whole_journal_may_be_trimmed_and_goes_on(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            await order.trim(Slot(5))
            await fill(order, [b"a", b"b"])
            await order.trim(Slot(99))
            assert await order.read(Slot(1), ALL) == Trimmed()
            assert await order.read(Slot(2), ALL) == []
            await fill(order, [b"c"], start=2)
            assert await order.read(Slot(2), ALL) == [b"c"]

    run_real(main())


def test_q2_rows_that_a_crash_left_below_the_boundary_are_trimmed_all_the_same(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            await fill(order, [b"%d" % slot for slot in range(2 * store.TRIM_STEP_SLOTS + 9)])
            order._move_boundary(Slot(500))
        async with opened(path) as order:
            assert await order.append(Slot(499), b"late") == Trimmed()
            assert await order.read(Slot(499), 1) == Trimmed()
            assert await order.read(Slot(500), 1) == [b"500"]
            await order.trim(Slot(501))
            assert slots_in(path) == list(range(501, 2 * store.TRIM_STEP_SLOTS + 9))

    run_real(main())


def slots_in(path: Path) -> list[int]:
    reader = connection.connect_reader(path)
    found = [slot for (slot,) in reader.execute("SELECT slot FROM slot ORDER BY slot")]
    reader.close()
    return found


def overlap_reads(path: Path, ended: Event) -> None:
    """Read so that one transaction ends only when the next has begun, until `ended`."""
    readers = [connection.connect_reader(path) for _ in range(2)]
    assert readers[1].execute("BEGIN; SELECT count(*) FROM slot").get is not None
    while not ended.wait(0.001):
        assert readers[0].execute("BEGIN; SELECT count(*) FROM slot").get is not None
        readers[1].execute("COMMIT")
        readers.reverse()
    for reader in readers:
        reader.close()


def test_log_stays_short_while_others_read(path: Path) -> None:
    ended = Event()

    async def main() -> None:
        async with opened(path) as order:
            longest = 0
            reader = Thread(target=overlap_reads, args=(path, ended), daemon=True)
            reader.start()
            for slot in range(100):
                await order.append(Slot(slot), bytes(order.entry_bytes_max // 2))
                longest = max(longest, path.with_name(f"{path.name}-wal").stat().st_size)
            ended.set()
            reader.join()
        assert longest < 2 * connection.WAL_BYTES_MAX

    run_real(main())


def test_calls_after_close_are_refused(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            await fill(order, [b"a"])
        with pytest.raises(Unavailable, match="closed"):
            await order.append(Slot(1), b"b")
        with pytest.raises(Unavailable, match="closed"):
            await order.read(Slot(0), 1)

    run_real(main())


@pytest.mark.parametrize(
    ("version", "is_refused"),
    [
        (3_006_999, False),
        (3_007_000, True),
        (3_040_001, True),
        (3_051_002, True),
        (3_051_003, False),
        (3_052_000, True),
        (3_053_000, False),
    ],
)
def test_version_of_sqlite_that_damages_files_is_refused(version: int, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(Unavailable, match="install a newer apsw"):
            connection.refuse_damaging(version)
    else:
        connection.refuse_damaging(version)


# Disks that fail --------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["full", "broken"])
def test_full_disk_refuses_appends_definitely_and_serves_reads(
    path: Path, disk: FailingDisk, mood: str
) -> None:
    async def main() -> None:
        order = SqliteOrderStore(path, vfs=NAME)
        await fill(order, [b"a"])
        await order.swap_cell("x", None, b"1")
        disk.mood = mood
        for _ in range(3):
            with pytest.raises(Unavailable, match="disk"):
                await order.append(Slot(1), b"b" * 100_000)
            with pytest.raises(Unavailable, match="disk"):
                await order.swap_cell("x", b"1", b"2")
            with pytest.raises(Unavailable, match="disk"):
                await order.trim(Slot(1))
        assert await order.read(Slot(0), ALL) == [b"a"]
        assert await order.read_cell("x") == b"1"
        disk.mood = ""
        await fill(order, [b"c"], start=1)
        assert await order.swap_cell("x", b"1", b"3")
        assert await order.read(Slot(0), ALL) == [b"a", b"c"]
        await order.close()
        async with opened(path) as again:
            assert await again.read(Slot(0), ALL) == [b"a", b"c"]

    run_real(main())


def test_full_file_refuses_appends_and_takes_them_when_space_returns(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            await fill(order, [b"a"])
            order._writer_connection.execute("PRAGMA max_page_count = 20")
            with pytest.raises(Unavailable, match="full"):
                await order.append(Slot(1), bytes(order.entry_bytes_max))
            assert await order.read(Slot(0), ALL) == [b"a"]
            order._writer_connection.execute("PRAGMA max_page_count = 1000000")
            await fill(order, [bytes(order.entry_bytes_max)], start=1)

    run_real(main())


def test_checkpoint_on_a_full_disk_loses_nothing(path: Path, disk: FailingDisk) -> None:
    async def main() -> None:
        order = SqliteOrderStore(path, vfs=NAME)
        await fill(order, [b"a", b"b"])
        order._wal_bytes = connection.WAL_BYTES_MAX
        disk.mood = "full"
        await order._writer.call(order._checkpoint)
        disk.mood = ""
        assert await order.read(Slot(0), ALL) == [b"a", b"b"]
        await fill(order, [b"c"], start=2)
        await order.close()

    run_real(main())


def test_q3_append_whose_sync_failed_is_unsettled_and_nothing_is_written_any_more(
    path: Path, disk: FailingDisk
) -> None:
    async def main() -> None:
        order = SqliteOrderStore(path, vfs=NAME)
        await fill(order, [b"a"])
        disk.mood = "sync"
        assert isinstance(await order.append(Slot(1), b"b"), Unsettled)
        disk.mood = ""
        with pytest.raises(Unavailable, match="opened again"):
            await order.append(Slot(1), b"b")
        with pytest.raises(Unavailable, match="opened again"):
            await order.swap_cell("x", None, b"1")
        assert (await order.read(Slot(0), 1)) == [b"a"]
        await order.close()
        async with opened(path) as again:
            assert await again.append(Slot(1), b"b") in (Appended(), Occupied(b"b"))

    run_real(main())


def test_q3_swap_whose_sync_failed_is_indeterminate(path: Path, disk: FailingDisk) -> None:
    async def main() -> None:
        order = SqliteOrderStore(path, vfs=NAME)
        disk.mood = "sync"
        with pytest.raises(Indeterminate):
            await order.swap_cell("x", None, b"1")
        disk.mood = ""
        await order.close()

    run_real(main())


# Damage -----------------------------------------------------------------------------------------


ENTRIES = [Random(number).randbytes(size) for number, size in enumerate([9, 300, 5000, 90_000] * 5)]
CELLS = {"checkpoint": b"page/4096", "y": b"2"}


async def write_sample(path: Path, *, keeps_log: bool) -> None:
    """Make a file to damage; with its log, as a process that was killed leaves it."""
    async with opened(path.with_name("sample")) as order:
        await fill(order, ENTRIES)
        for name, value in CELLS.items():
            await order.swap_cell(name, None, value)
        await order.trim(Slot(2))
        for end in ("", "-wal") if keeps_log else ():
            shutil.copy(f"{path.with_name('sample')}{end}", f"{path}{end}")
    if not keeps_log:
        shutil.copy(path.with_name("sample"), path)


async def read_sample(path: Path) -> None:
    """Demand that everything is there, or raise `Corrupt` because something is not."""
    async with opened(path) as order:
        assert await order.read(Slot(2), ALL) == ENTRIES[2:]
        assert await order.read(Slot(1), ALL) == Trimmed()
        assert await order.read(Slot(len(ENTRIES)), ALL) == []
        for name, value in CELLS.items():
            assert await order.read_cell(name) == value


FLIPS = 150
HEAD_BYTES = 100


@pytest.mark.parametrize("end", ["", "-wal"])
def test_flipped_bit_is_reported_or_changes_nothing(path: Path, end: str) -> None:
    async def main() -> None:
        await write_sample(path, keeps_log=end == "-wal")
        sound = {suffix: Path(f"{path}{suffix}") for suffix in ("", "-wal")}
        contents = {name: file.read_bytes() for name, file in sound.items() if file.exists()}
        rng = Random(f"flips{end}")
        reported = 0
        for _ in range(FLIPS):
            for name, content in contents.items():
                damaged = bytearray(content)
                if name == end:
                    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
                sound[name].write_bytes(damaged)
            Path(f"{path}-shm").unlink(missing_ok=True)
            try:
                await read_sample(path)
            except Corrupt:
                reported += 1
        assert reported > FLIPS / 2

    run_real(main())


def test_flipped_bit_in_the_head_of_the_file_is_reported_or_changes_nothing(path: Path) -> None:
    async def main() -> None:
        await write_sample(path, keeps_log=False)
        sound = path.read_bytes()
        for position in range(HEAD_BYTES):
            damaged = bytearray(sound)
            damaged[position] ^= 1 << position % 8
            path.write_bytes(damaged)
            with contextlib.suppress(Corrupt):
                await read_sample(path)

    run_real(main())


def test_newest_slots_that_a_page_no_longer_counts_are_missed(path: Path) -> None:
    """No row after them shows that they are gone: the structure of the file does."""

    async def main() -> None:
        async with opened(path) as order:
            await fill(order, [b"%d" % slot for slot in range(9)])
        damaged = bytearray(path.read_bytes())
        root = slot_root(path)
        # The header of a page that is a leaf: its kind, two bytes, and the count of its rows.
        position = (root - 1) * connection.PAGE_BYTES + 3
        assert int.from_bytes(damaged[position : position + 2], "big") == 9
        damaged[position + 1] = 8
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="damaged"):
            SqliteOrderStore(path)

    run_real(main())


def slot_root(path: Path) -> int:
    reader = connection.connect_reader(path)
    root: int = reader.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'slot'").get
    reader.close()
    return root


def test_torn_last_transaction_was_never_acknowledged_and_is_left_out(path: Path) -> None:
    """A log that ends in the middle is what a loss of power leaves."""

    async def main() -> None:
        await write_sample(path, keeps_log=True)
        log = Path(f"{path}-wal")
        log.write_bytes(log.read_bytes()[:-100])
        async with opened(path) as order:
            assert await order.read(Slot(2), 3) == ENTRIES[2:5]

    run_real(main())


def test_log_without_its_beginning_is_reported(path: Path) -> None:
    async def main() -> None:
        await write_sample(path, keeps_log=True)
        log = Path(f"{path}-wal")
        log.write_bytes(bytes(wal.HEADER_BYTES) + log.read_bytes()[wal.HEADER_BYTES :])
        with pytest.raises(Corrupt, match="log"):
            SqliteOrderStore(path)

    run_real(main())


@pytest.mark.parametrize("content", [b"not SQLite at all" * 1000, b"short"])
def test_file_of_something_else_is_refused(path: Path, content: bytes) -> None:
    async def main() -> None:
        path.write_bytes(content)
        with pytest.raises(Corrupt, match="damaged"):
            SqliteOrderStore(path)

    run_real(main())


def test_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    async def main() -> None:
        other = apsw.Connection(str(path))
        other.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        other.close()
        before = path.read_bytes()
        with pytest.raises(Corrupt, match="not one of this program"):
            SqliteOrderStore(path)
        assert path.read_bytes() == before

    run_real(main())


def test_file_of_a_later_version_is_refused(path: Path) -> None:
    async def main() -> None:
        async with opened(path) as order:
            order._writer_connection.execute("PRAGMA user_version = 99")
        with pytest.raises(Corrupt, match="layout 99"):
            SqliteOrderStore(path)

    run_real(main())
