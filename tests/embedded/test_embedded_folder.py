"""The embedded log on a data folder, and what else may want that folder."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tidings
from tidings.embedded import Record
from tidings.errors import Corrupt, InvalidRequest, Unavailable

pytestmark = pytest.mark.real

PATIENCE_S = 60.0


async def write(place: str | os.PathLike[str], *, count: int) -> list[Record]:
    async with tidings.open(place) as log:
        await log.create_topic("news")
        return [await log.append("news", b"%d" % number) for number in range(count)]


async def read(place: str | os.PathLike[str]) -> list[Record]:
    async with tidings.open(place) as log:
        return [record async for record in log.read("news")]


def test_folder_gives_back_what_was_appended(tmp_path: Path) -> None:
    written = asyncio.run(write(tmp_path, count=3))
    assert [record.offset for record in written] == [0, 1, 2]
    assert asyncio.run(read(tmp_path)) == written
    assert asyncio.run(write(tmp_path, count=1))[0].offset == 3


def test_folder_is_named_by_a_path_or_a_url(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    written = asyncio.run(write(str(folder), count=1))
    assert asyncio.run(read(folder.as_uri())) == written


@pytest.mark.parametrize("place", ["s3://bucket", "postgresql://host/log", "memory://x"])
def test_url_that_is_not_known_is_refused(place: str) -> None:
    with pytest.raises(InvalidRequest, match="memory:"):
        asyncio.run(read(place))


def test_memory_is_another_log_each_time() -> None:
    async def main() -> None:
        async with tidings.open("memory:") as one, tidings.open("memory:") as another:
            await one.create_topic("a")
            assert list(await one.topics()) == ["a"]
            assert await another.topics() == {}

    asyncio.run(main())


def test_folder_that_is_open_cannot_be_opened_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with tidings.open(tmp_path):
            with pytest.raises(Unavailable, match=f"in use by process {os.getpid()}"):
                await read(tmp_path)

    asyncio.run(main())


def test_folder_that_another_process_has_open_cannot_be_opened(tmp_path: Path) -> None:
    program = (
        "import asyncio, tidings\n"
        "async def main():\n"
        f"    async with tidings.open({str(tmp_path)!r}):\n"
        "        print('open', flush=True)\n"
        "        await asyncio.sleep(3600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"open\n"
            with pytest.raises(Unavailable, match=f"in use by process {process.pid}"):
                asyncio.run(read(tmp_path))
        finally:
            process.kill()
    asyncio.run(write(tmp_path, count=1))


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(InvalidRequest, match="letters"):
        asyncio.run(read(tmp_path))


def test_folder_that_is_damaged_says_so(tmp_path: Path) -> None:
    asyncio.run(write(tmp_path, count=1))
    (tmp_path / "tidings.json").unlink()
    with pytest.raises(Corrupt):
        asyncio.run(read(tmp_path))


def test_record_that_was_appended_survives_the_death_of_the_process(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, signal, tidings\n"
        "async def main():\n"
        f"    async with tidings.open({str(tmp_path)!r}) as log:\n"
        "        await log.create_topic('news')\n"
        "        await log.append('news', b'kept')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False, timeout=PATIENCE_S)
    assert [record.value for record in asyncio.run(read(tmp_path))] == [b"kept"]


BILLING = """
import asyncio, sys, tidings

async def main():
    async with tidings.open(sys.argv[1]) as log:
        async for order in log.follow("orders", group="billing"):
            await log.append("invoices", order.value, commit=("billing", order))
            print(order.offset, flush=True)

asyncio.run(main())
"""


def test_program_that_is_killed_again_and_again_makes_each_invoice_once(tmp_path: Path) -> None:
    orders = [b"%d" % number for number in range(120)]

    async def prepare() -> None:
        async with tidings.open(tmp_path) as log:
            await log.create_topic("orders")
            await log.create_topic("invoices")
            await log.append_many("orders", orders)

    asyncio.run(prepare())
    last = -1
    while last < len(orders) - 1:
        command = [sys.executable, "-c", BILLING, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            for _ in range(min(30, len(orders) - 1 - last)):
                last = int(process.stdout.readline())
            # It is at work on the next one, and may be anywhere in it.
            process.kill()

    async def invoices() -> list[bytes | None]:
        async with tidings.open(tmp_path) as log:
            return [record.value async for record in log.read("invoices")]

    assert asyncio.run(invoices()) == orders


def test_import_of_tidings_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import tidings; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['tidings']\n"
