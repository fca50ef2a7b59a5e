"""`tidings.open`: from a path or URL to a log that runs."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tidings.clock import SystemClock
from tidings.embedded.lifetime import Lifetime
from tidings.embedded.log import EmbeddedLog
from tidings.engine.log import Log
from tidings.errors import InvalidRequest, TidingsError
from tidings.kafka.standalone import ENGINE, Alone, Storage, in_memory
from tidings.ports import Clock
from tidings.stores.folder import open_folder

MEMORY_URL = "memory:"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

_NODE = "n1"
"""As a broker calls itself that serves the same folder."""


@asynccontextmanager
async def open_log(path_or_url: str | os.PathLike[str]) -> AsyncIterator[EmbeddedLog]:
    """Open a log: `"memory:"`, or a data folder, as a path or `file:` URL.

    A folder is made if it is not there; it is one that `tidings serve --data` serves. Opening and
    closing block the event loop for some milliseconds; opening takes longer for a long journal.
    What is under way when the block ends is waited for.

    Raises:
        Unavailable: Another process has the folder open, or it cannot be used.
        InvalidRequest: It is a folder of something else, or a URL that is not known.
        Corrupt: What is stored is damaged, or of a later version.
    """
    async with (
        _storage(path_or_url) as storage,
        running(storage, SystemClock(), random.Random()) as log,
    ):
        yield log


def _storage(path_or_url: str | os.PathLike[str]) -> AbstractAsyncContextManager[Storage]:
    place = os.fspath(path_or_url)
    if place == MEMORY_URL:
        return in_memory()
    scheme = _SCHEME.match(place)
    if scheme is None:
        path = Path(place)
    elif scheme[1].lower() == "file":
        path = Path(unquote(urlsplit(place).path))
    else:
        raise InvalidRequest(
            f"{place!r} cannot be opened: say {MEMORY_URL!r}, the path of a folder, or file:///…"
        )
    return open_folder(path, random.Random())


@asynccontextmanager
async def running(storage: Storage, clock: Clock, rng: random.Random) -> AsyncIterator[EmbeddedLog]:
    """Run a log on stores that nobody else uses, until the block ends.

    Raises:
        Corrupt: A store holds something else than what was put there.
    """
    log = Log(
        storage.order, storage.blobs, peers=Alone(_NODE), clock=clock, rng=rng, settings=ENGINE
    )
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run(), name="log")
            await log.barrier()
            lifetime = Lifetime()
            try:
                yield EmbeddedLog(log, clock, lifetime)
            except Exception as error:  # noqa: BLE001 -- it is raised below, but not in a group
                failure = error
            finally:
                lifetime.end()
            await lifetime.drain()
            node.cancel()
    except BaseExceptionGroup as group:
        _raise_single(group)
        raise
    if failure is not None:
        raise failure


def _raise_single(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise what ended the log, if that is one of our own errors and nothing else happened."""
    known, unknown = group.split(TidingsError)
    if known is None or unknown is not None:
        return
    first: BaseException = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    raise first from None
