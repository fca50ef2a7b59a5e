"""Blob stores that are each wrong in one place, and the check that must see it."""

import asyncio
import unicodedata
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from slow_services import SlowCaller, SlowWire

from tidings.ports import BlobStore
from tidings.stores.maelstrom_kv import MaelstromBlobStore
from tidings.stores.memory import MemoryBlobStore

MakeClients = Callable[[int, int], Sequence[BlobStore]]

BUGS: list[tuple[str, str, MakeClients]] = []
"""The check that must see it, the bug's name, and the store."""

B = TypeVar("B", bound=type["Planted"])


class Planted(MemoryBlobStore):
    """A store in memory that is about to be spoilt."""

    @classmethod
    def clients(cls, count: int, _seed: int) -> Sequence[BlobStore]:
        return [cls()] * count


def caught_by(check: str) -> Callable[[B], B]:
    def register(bug: B) -> B:
        BUGS.append((check, bug.__name__, bug.clients))
        return bug

    return register


@caught_by("blob_that_was_never_put_is_missing")
class FindsByPrefix(Planted):
    async def get(self, name: str) -> bytes | None:
        return next((data for held, data in self._blobs.items() if held.startswith(name)), None)


@caught_by("blob_that_was_never_put_is_missing")
class GivesNoBytesForAMiss(Planted):
    async def get(self, name: str) -> bytes | None:
        return self._blobs.get(name, b"")


@caught_by("blob_is_found_by_its_writer")
class SaysStoredBeforeItIs(Planted):
    async def put(self, name: str, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._blobs.__setitem__, name, data)


@caught_by("blob_is_found_by_its_writer")
class RemembersMisses(Planted):
    def __init__(self) -> None:
        super().__init__()
        self._missing: dict[str, None] = {}

    async def get(self, name: str) -> bytes | None:
        data = None if name in self._missing else self._blobs.get(name)
        if data is None:
            self._missing[name] = None
        return data


@caught_by("blob_is_found_by_every_other_client")
class OnlyItsWriterKnows(Planted):
    @classmethod
    def clients(cls, count: int, _seed: int) -> Sequence[BlobStore]:
        return [cls() for _ in range(count)]


class LooksOnlyOnce(MaelstromBlobStore):
    """Takes a miss in seq-kv for an answer."""

    async def get(self, name: str) -> bytes | None:
        text = await self._kv.read(self._blob_key(name))
        return None if text is None else await super().get(name)

    @classmethod
    def clients(cls, count: int, seed: int) -> Sequence[BlobStore]:
        wire = SlowWire(seed, late_chance=0)
        names = [f"n{number}" for number in range(count)]
        return [cls(SlowCaller(wire, name), "journal", name, Random(name)) for name in names]


BUGS.append(("blob_is_found_by_every_other_client", LooksOnlyOnce.__name__, LooksOnlyOnce.clients))


@caught_by("blob_that_is_put_again_stays")
class AppendsWhatIsPutAgain(Planted):
    async def put(self, name: str, data: bytes) -> None:
        self._blobs[name] = self._blobs.get(name, b"") + data


@caught_by("blobs_of_every_size_come_back_byte_for_byte")
class CutsBlobs(Planted):
    async def put(self, name: str, data: bytes) -> None:
        await super().put(name, data[:65_535])


@caught_by("blobs_of_every_size_come_back_byte_for_byte")
class TakesNoBytesForAMiss(Planted):
    async def get(self, name: str) -> bytes | None:
        return self._blobs.get(name) or None


@caught_by("blobs_of_every_size_come_back_byte_for_byte")
class StripsSpace(Planted):
    async def put(self, name: str, data: bytes) -> None:
        await super().put(name, data.rstrip())


@caught_by("blobs_of_different_names_are_different")
class NormalizesNames(Planted):
    async def put(self, name: str, data: bytes) -> None:
        self._blobs[unicodedata.normalize("NFC", name)] = data

    async def get(self, name: str) -> bytes | None:
        return await super().get(unicodedata.normalize("NFC", name))


@caught_by("ranges_are_slices_of_the_blob")
class TakesSizeForEnd(Planted):
    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        data = self._blobs.get(name)
        return None if data is None else data[position:size_bytes]


@caught_by("ranges_are_slices_of_the_blob")
class FillsRangesUp(Planted):
    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        data = await super().get_range(name, position, size_bytes)
        return None if data is None else data.ljust(min(size_bytes, 100), b"\0")


@caught_by("range_of_a_missing_blob_is_missing")
class GivesAnEmptyRangeForAMiss(Planted):
    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        return self._blobs.get(name, b"")[position : position + size_bytes]


@caught_by("blob_that_is_deleted_stays_gone")
class DeletesNothing(Planted):
    async def delete(self, name: str) -> None:
        pass


@caught_by("blob_that_is_deleted_stays_gone")
class DeletesByPrefix(Planted):
    async def delete(self, name: str) -> None:
        self._blobs = {held: data for held, data in self._blobs.items() if held[:6] != name[:6]}


@caught_by("blob_that_is_deleted_stays_gone")
class DeletesThoughItCannot(Planted):
    can_delete = False


@caught_by("blob_that_is_deleted_stays_gone")
class KeepsRangesOfTheDeleted(Planted):
    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        await super().put(name, data)
        self._kept[name] = data

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        data = self._kept.get(name)
        return None if data is None else data[position : position + size_bytes]


@caught_by("blob_may_be_deleted_twice_or_never_have_been")
class DeletesOnlyWhatIsThere(Planted):
    async def delete(self, name: str) -> None:
        del self._blobs[name]


@caught_by("deletes_that_race_are_linearizable")
class DeletesLater(Planted):
    async def delete(self, name: str) -> None:
        async def later() -> None:
            await asyncio.sleep(0.003)
            self._blobs.pop(name, None)

        self._tasks.append(asyncio.get_running_loop().create_task(later()))

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[asyncio.Task[None]] = []


@caught_by("deletes_that_race_are_linearizable")
class PutsInTwoSteps(Planted):
    async def put(self, name: str, data: bytes) -> None:
        self._blobs[name] = data[:3]
        await asyncio.sleep(0.003)
        self._blobs[name] = data


@caught_by("puts_and_gets_that_race_are_linearizable")
class RangesOfWhatWasThereOnce(Planted):
    def __init__(self) -> None:
        super().__init__()
        self._old: dict[str, bytes] = {}

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        data = self._old.get(name)
        if name in self._blobs:
            self._old[name] = self._blobs[name]
        return None if data is None else data[position : position + size_bytes]


@caught_by("puts_and_gets_that_race_are_linearizable")
class WritesInTwoSteps(Planted):
    async def put(self, name: str, data: bytes) -> None:
        self._blobs[name] = data[:3]
        await asyncio.sleep(0.003)
        self._blobs[name] = data


@caught_by("puts_and_gets_that_race_are_linearizable")
class TakesAwayWhatIsPutAgain(Planted):
    async def put(self, name: str, data: bytes) -> None:
        self._blobs.pop(name, None)
        await asyncio.sleep(0.003)
        self._blobs[name] = data
