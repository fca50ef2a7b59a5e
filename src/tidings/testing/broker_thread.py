"""A broker in a thread of its own, through its lives: it can begin again at the same address."""

import asyncio
import random
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tidings.embedded import EmbeddedLog
from tidings.embedded.lifetime import Lifetime
from tidings.errors import Unavailable
from tidings.kafka.listening import Listening, listen
from tidings.kafka.serve import loop_factory, serving
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.standalone import Storage, new_memory
from tidings.stores.folder import BLOBS_FOLDER, IDENTITY_FILE, JOURNAL_FILE, open_folder
from tidings.testing.faults import Faults
from tidings.testing.full_disk import Disk, on_disk

PATIENCE_S = 30.0
"""How long a test waits for its broker before something must be wrong."""

T = TypeVar("T")


class BrokerThread:
    """Runs a broker. Its methods may be called from any other thread."""

    def __init__(self, settings: BrokerSettings, data: Path | None) -> None:
        """Prepare a broker; `data` is its data folder, None for memory."""
        self._settings = settings
        self._data = data
        self._memory = new_memory()
        self.port = 0
        self.disk = Disk()
        self.faults = Faults()
        self._is_ended = False
        self._failure: BaseException | None = None
        # Done when clients can connect.
        self._begun: Future[None] = Future()
        self._forgets = False
        # Known as soon as it has begun.
        self._loop: asyncio.AbstractEventLoop
        self._life_ends: asyncio.Event
        self._log: EmbeddedLog
        self._thread = threading.Thread(target=self._run, name="tidings broker", daemon=True)

    def start(self) -> None:
        """Begin; return when clients can connect.

        Raises:
            Unavailable: Another process has the data folder open, or it cannot be used.
        """
        self._thread.start()
        self._begun.result(PATIENCE_S)

    def begin_again(self, *, forgets: bool) -> None:
        """End this life at once and begin the next, with or without what is stored."""
        self._check()
        self._begun = Future()
        self._forgets = forgets
        self._loop.call_soon_threadsafe(self._life_ends.set)
        self._begun.result(PATIENCE_S)

    def stop(self) -> None:
        """End; raise what ended it before, if something did."""
        if self._thread.is_alive():
            self._is_ended = True
            self._loop.call_soon_threadsafe(self._life_ends.set)
            self._thread.join(PATIENCE_S)
        self._check()

    def call(self, ask: Callable[[EmbeddedLog], Coroutine[Any, Any, T]]) -> T:
        """Ask the broker's own log, and wait for the answer."""
        self._check()
        return asyncio.run_coroutine_threadsafe(ask(self._log), self._loop).result(PATIENCE_S)

    def do(self, act: Callable[[], None]) -> None:
        """Have something done in the broker's thread, and wait until it is."""

        async def doing(_log: EmbeddedLog) -> None:
            act()

        self.call(doing)

    def _check(self) -> None:
        if self._failure is not None:
            raise Unavailable("the broker of this test has ended") from self._failure

    # In the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._live())
        except BaseException as error:  # noqa: BLE001 -- raised in the thread of the test
            self._failure = error
            if not self._begun.done():
                self._begun.set_exception(error)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        # It is open from life to life, so that nobody else gets its port.
        with listen(self._settings.host, self._settings.port) as listening:
            self.port = listening.getsockname()[1]
            while not self._is_ended:
                self._life_ends = asyncio.Event()
                async with (
                    self._storage() as storage,
                    serving(
                        on_disk(storage, self.disk),
                        self._settings,
                        [Listening(self._settings.every_listener[0], listening.dup())],
                        self.faults.answerer,
                    ) as at_work,
                ):
                    broker = at_work.broker
                    await broker.log.barrier()
                    self._log = EmbeddedLog(broker.log, broker.clock, Lifetime())
                    self._begun.set_result(None)
                    await self._life_ends.wait()

    @asynccontextmanager
    async def _storage(self) -> AsyncIterator[Storage]:
        if self._forgets:
            self._forget()
        if self._data is None:
            yield self._memory
            return
        async with open_folder(self._data, random.Random()) as folder:
            yield folder

    def _forget(self) -> None:
        self._forgets = False
        self.disk.is_full = False
        self.faults.clear()
        if self._data is None:
            self._memory = new_memory(self._memory.cluster_id)
            return
        shutil.rmtree(self._data / BLOBS_FOLDER, ignore_errors=True)
        for name in (IDENTITY_FILE, *(f"{JOURNAL_FILE}{end}" for end in ("", "-wal", "-shm"))):
            (self._data / name).unlink(missing_ok=True)
