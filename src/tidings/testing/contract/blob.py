"""What every blob store must do: examples, and a race whose recorded calls are judged."""

import asyncio
import contextlib
from enum import StrEnum
from functools import partial
from random import Random

from tidings.errors import Unavailable
from tidings.ports import NAME_CHARACTERS_MAX, BlobStore
from tidings.testing.contract.check import (
    Check,
    ContractError,
    Make,
    Trial,
    named,
    require_equal,
)
from tidings.testing.contract.history import History, RecordingBlobStore
from tidings.testing.contract.unreliable import Link, UnreliableBlobStore, until_answered

ROUNDS = 20
"""How many blobs go from one client to all others; a stale view does not show every time."""

RACE_BLOBS = 12
RACE_GETS = 40
RANGE_CHANCE = 0.3

RANGED_BYTES = 200_001
"""Ranges are cut from a blob of this size: larger than any block a store may keep it in."""

MEBIBYTE = 1024 * 1024


class BlobPromise(StrEnum):
    """Sentences of `tidings.ports.BlobStore`."""

    PUT = "Every get of every client that begins after this returned finds it."
    REPEAT = "Repeating it with the same data is harmless."
    GET = "Return a blob's bytes; None if it certainly was not stored when the call began."
    MISS = "Where a store's reads may be stale, the adapter makes sure before it says None."
    LASTING = "What anybody got once, everybody gets from then on, until it is deleted."
    RANGE = "`get_range` gives what the same slice of `get` gives,"
    RANGE_MISS = "and None where `get` gives None."
    DELETE = (
        "stays gone for every client; only a put of it that is still under way may bring it back."
    )
    DELETE_NONE = "Let go of a blob, if the store can; there may be none of that name."
    CANNOT_DELETE = "If not, `delete` does nothing."
    NAMES = "A name is any text without NUL, and not empty."


BlobTrial = Trial[BlobStore]


async def blob_that_was_never_put_is_missing(trial: BlobTrial) -> None:
    """Whatever else was put, also under names that begin in the same way."""
    writer, *_ = trial.clients
    for name in ("x", "a", "a/b", "a/b/c/d"):
        for store in trial.clients:
            await _require(store, name, None, BlobPromise.GET)
    await writer.put("a/b/c", b"1")
    for name in ("x", "a", "a/b", "a/b/c/d", "a/b/"):
        for store in trial.clients:
            await _require(store, name, None, BlobPromise.GET)


async def blob_is_found_by_its_writer(trial: BlobTrial) -> None:
    """A client finds what it put itself, even after it looked for it in vain."""
    for number, store in enumerate([*trial.clients] * ROUNDS):
        name = f"blob/{number}"
        await _require(store, name, None, BlobPromise.GET)
        await store.put(name, b"%d" % number)
        await _require(store, name, b"%d" % number, BlobPromise.PUT)


async def blob_is_found_by_every_other_client(trial: BlobTrial) -> None:
    """As soon as the put has returned: by clients that only read, and that looked before."""
    writer, *others = trial.clients
    for number in range(ROUNDS):
        name = f"blob/{number}"
        for store in others:
            await _require(store, name, None, BlobPromise.GET)
        await writer.put(name, b"%d" % number)
        for store in others:
            await _require(store, name, b"%d" % number, BlobPromise.MISS)


async def blob_that_is_put_again_stays(trial: BlobTrial) -> None:
    """By whomever: a put that got no answer is repeated, and may arrive late."""
    for _ in range(3):
        for store in trial.clients:
            await store.put("x", b"same")
            for reader in trial.clients:
                await _require(reader, "x", b"same", BlobPromise.REPEAT)


async def blobs_of_every_size_come_back_byte_for_byte(trial: BlobTrial) -> None:
    """From none to a mebibyte, of every byte there is."""
    writer, reader, *_ = trial.clients
    rng = trial.random("data")
    blobs = [b"", b"\0", b"\xff\xfe\n\r\n ", "ü".encode(), bytes(range(256))]
    blobs += [rng.randbytes(size) for size in (1, 4095, 4097, 65_536, MEBIBYTE)]
    for number, data in enumerate(blobs):
        await writer.put(f"{number}", data)
        await _require(reader, f"{number}", data, BlobPromise.GET)
        await _require(writer, f"{number}", data, BlobPromise.GET)


async def blobs_of_different_names_are_different(trial: BlobTrial) -> None:
    """Names with slashes, spaces and letters from everywhere; compared exactly."""
    writer, reader, *_ = trial.clients
    names = ["a", "a/b", "a/b/c", "A", "a b", "a%2Fb", "a\\b", "ü", "u\u0308", "雪/❄", "."]
    names.append("n" * NAME_CHARACTERS_MAX)
    for name in names:
        await _require(reader, name, None, BlobPromise.NAMES)
        await writer.put(name, name.encode())
    for name in names:
        await _require(reader, name, name.encode(), BlobPromise.NAMES)


async def ranges_are_slices_of_the_blob(trial: BlobTrial) -> None:
    """Also those that begin or end in odd places, at its end, beyond it, or take nothing."""
    writer, reader, *_ = trial.clients
    data = trial.random("data").randbytes(RANGED_BYTES)
    await writer.put("x", data)
    await writer.put("empty", b"")
    places = [0, 1, 4095, 4096, 65_535, 65_537, RANGED_BYTES - 1, RANGED_BYTES, RANGED_BYTES + 9]
    for position in places:
        for size_bytes in (0, 1, 100, 4096, 70_000, 2 * RANGED_BYTES):
            expected = data[position : position + size_bytes]
            await _require_range(reader, "x", (position, size_bytes), expected)
            await _require_range(writer, "empty", (position, size_bytes), b"")


async def range_of_a_missing_blob_is_missing(trial: BlobTrial) -> None:
    """However little of it is asked for, and whatever was asked before it was put."""
    writer, *_ = trial.clients
    for number, store in enumerate(trial.clients):
        name = f"blob/{number}"
        for place in ((0, 0), (0, 1), (5, 10)):
            await _require_range(store, name, place, None)
        await writer.put(name, b"0123456789")
        await _require_range(store, name, (5, 10), b"56789")


async def blob_that_is_deleted_stays_gone(trial: BlobTrial) -> None:
    """For every client, and no other blob with it; where a store cannot delete, nothing happens."""
    for number, store in enumerate(trial.clients):
        name = f"blob/{number}"
        for other in (name, f"{name}/x", "blob"):
            await store.put(other, b"data")
        await _require(store, name, b"data", BlobPromise.PUT)
        await store.delete(name)
        for reader in trial.clients:
            if store.can_delete:
                await _require(reader, name, None, BlobPromise.DELETE)
                await _require_range(reader, name, (0, 2), None, BlobPromise.DELETE)
            else:
                await _require(reader, name, b"data", BlobPromise.CANNOT_DELETE)
            for other in (f"{name}/x", "blob"):
                await _require(reader, other, b"data", BlobPromise.DELETE)


async def blob_may_be_deleted_twice_or_never_have_been(trial: BlobTrial) -> None:
    """A delete that got no answer is repeated, perhaps by another client."""
    await trial.clients[0].put("x", b"data")
    for name in ("x", "never"):
        for store in (*trial.clients, *trial.clients):
            try:
                await store.delete(name)
            except Unavailable:
                raise
            except Exception as error:
                raise ContractError(f'"{BlobPromise.DELETE_NONE}" is broken: {error!r}') from error


async def puts_and_gets_that_race_are_linearizable(trial: BlobTrial) -> None:
    """Clients that put the same blobs and look for them, over links that lose and delay."""
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            for part in (_put_all, _get_any):
                rng = trial.random(f"{part.__name__} {number}")
                link = Link(rng, tasks)
                client = RecordingBlobStore(UnreliableBlobStore(store, link), history)
                tasks.create_task(part(client, rng))
    for store in trial.clients:
        client = RecordingBlobStore(store, history)
        for number in range(RACE_BLOBS):
            await until_answered(partial(client.get, f"{number}"))
    history.judge(BlobPromise.LASTING)


async def _put_all(store: RecordingBlobStore, rng: Random) -> None:
    for number in rng.sample(range(RACE_BLOBS), RACE_BLOBS):
        with contextlib.suppress(Unavailable):
            await store.put(f"{number}", b"blob %d" % number)


async def _get_any(store: RecordingBlobStore, rng: Random) -> None:
    for _ in range(RACE_GETS):
        with contextlib.suppress(Unavailable):
            name = f"{rng.randrange(RACE_BLOBS)}"
            if rng.random() < RANGE_CHANCE:
                await store.get_range(name, rng.randrange(8), rng.randrange(8))
            else:
                await store.get(name)


async def deletes_that_race_are_linearizable(trial: BlobTrial) -> None:
    """Clients that put, look for and delete the same blobs, over links that lose and delay."""
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            for part in (_put_all, _get_any, _delete_all):
                rng = trial.random(f"{part.__name__} {number}")
                link = Link(rng, tasks)
                client = RecordingBlobStore(UnreliableBlobStore(store, link), history)
                tasks.create_task(part(client, rng))
    for store in trial.clients:
        client = RecordingBlobStore(store, history)
        for number in range(RACE_BLOBS):
            await until_answered(partial(client.get, f"{number}"))
    can_delete = trial.clients[0].can_delete
    history.judge(BlobPromise.DELETE if can_delete else BlobPromise.CANNOT_DELETE)


async def _delete_all(store: RecordingBlobStore, rng: Random) -> None:
    for number in rng.sample(range(RACE_BLOBS), RACE_BLOBS):
        with contextlib.suppress(Unavailable):
            await store.delete(f"{number}")


async def _require(store: BlobStore, name: str, data: bytes | None, promise: str) -> None:
    require_equal(await store.get(name), data, promise, of=f"get({name!r:.20})")


async def _require_range(
    store: BlobStore,
    name: str,
    place: tuple[int, int],
    data: bytes | None,
    promise: str | None = None,
) -> None:
    promise = promise or (BlobPromise.RANGE_MISS if data is None else BlobPromise.RANGE)
    found = await store.get_range(name, *place)
    require_equal(found, data, promise, of=f"get_range({name!r:.20}, {place[0]}, {place[1]})")


def blob_store_checks() -> dict[str, Check[BlobStore]]:
    """Return every check of a blob store by its name.

    Examples need a store that answers in time. Those that end with `linearizable` also stand
    `Unavailable`.
    """
    return named(
        blob_that_was_never_put_is_missing,
        blob_is_found_by_its_writer,
        blob_is_found_by_every_other_client,
        blob_that_is_put_again_stays,
        blobs_of_every_size_come_back_byte_for_byte,
        blobs_of_different_names_are_different,
        ranges_are_slices_of_the_blob,
        range_of_a_missing_blob_is_missing,
        blob_that_is_deleted_stays_gone,
        blob_may_be_deleted_twice_or_never_have_been,
        puts_and_gets_that_race_are_linearizable,
        deletes_that_race_are_linearizable,
    )


async def check_blob_store(make: Make[BlobStore], seed: int = 0) -> None:
    """Run every check, each on a store of its own.

    Raises:
        ContractError: The contract is broken.
    """
    for check in blob_store_checks().values():
        await check(make, seed)
