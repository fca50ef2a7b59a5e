"""A process that appends, puts, trims and deletes as fast as it can, and says what is done.

    store_until_killed.py FOLDER

A line that it prints is a promise: what the line says is on disk.
"""

import asyncio
import sys
from pathlib import Path
from random import Random

from tidings.ports import Appended, Trimmed
from tidings.stores.folder import Folder, open_folder
from tidings.types import Slot

WINDOW_SLOTS = 40
"""So many of the newest slots and blobs are kept."""


def entry_of(slot: int) -> bytes:
    """Return what a slot is filled with: small ones, and a few that need many pages."""
    return Random(f"entry {slot}").randbytes(100_000 if slot % 7 == 0 else 200)


def blob_of(slot: int) -> bytes:
    return Random(f"blob {slot}").randbytes(50_000)


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - this is what the process is for


async def fill(folder: Folder) -> None:
    slot = await find_end(folder)
    while True:
        await folder.blobs.put(f"blob/{slot}", blob_of(slot))
        assert await folder.order.append(Slot(slot), entry_of(slot)) == Appended()
        say("appended", slot)
        slot += 1
        below = slot - WINDOW_SLOTS
        if below > 0 and slot % 10 == 0:
            await folder.order.trim(Slot(below))
            say("trimmed", below)
            for old in range(max(0, below - 10), below):
                await folder.blobs.delete(f"blob/{old}")
                say("deleted", old)


async def find_end(folder: Folder) -> int:
    slot = 0
    while (found := await folder.order.read(Slot(slot), 64)) != []:
        slot += 1 if isinstance(found, Trimmed) else len(found)
    return slot


async def main() -> None:
    async with open_folder(Path(sys.argv[1]), Random(1)) as folder:
        say("open")
        await fill(folder)


if __name__ == "__main__":
    asyncio.run(main())
