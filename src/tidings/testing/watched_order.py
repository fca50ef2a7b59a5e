"""The order store as a broker of a cluster reaches it: it also tells of slots as they are filled.

As a watch of etcd does: mostly soon and with the entry; now and then late, without the entry, or
never. A watch that had to begin anew, for what it would go on from was compacted, tells of the
newest slot alone.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from tidings.errors import Indeterminate, Unavailable
from tidings.kafka.cluster.brokers import CELL as BROKERS_CELL
from tidings.kafka.cluster.storage import FollowedOrderStore, Heard
from tidings.ports import Appended, AppendOutcome
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.faulty_stores import FaultyOrderStore
from tidings.testing.life import Life
from tidings.testing.plan import Plan
from tidings.testing.process import Process, ProcessLoop
from tidings.testing.storage import MemoryStorage
from tidings.testing.trace import Trace
from tidings.types import Slot

LATE_S_MAX: Final = 3.0

BARE_SHARE: Final = 0.1
"""The share of what is told that comes without its entry."""

Tell = Callable[[Slot, bytes | None], None]


class Watches:
    """Everybody who watches the slots, and what becomes of what they are told."""

    def __init__(self, plan: Plan, loop: ProcessLoop, trace: Trace) -> None:
        self._rng = Random(f"{plan.seed}/watches")
        self._loop = loop
        self._trace = trace
        self._chances = {name: plan.chances.get(name, 0.0) for name in ("push-lost", "push-late")}
        # By process: where it hears, and the life that decides whether it does.
        self._watching: dict[Process, tuple[Life, Tell]] = {}
        self._newest = Slot(0)
        # Processes that cannot tell others that they are alive.
        self.unheard: dict[Process, None] = {}
        # Processes whose watch is broken.
        self._blind: dict[Process, None] = {}

    def heal(self) -> None:
        """Let everything arrive soon."""
        self._chances = dict.fromkeys(self._chances, 0.0)
        self.unheard.clear()
        for process in list(self._blind):
            self.begin_anew(process)

    def begin(self, process: Process, life: Life, tell: Tell) -> None:
        """Tell a process of slots from now on."""
        self._watching[process] = (life, tell)

    def end(self, process: Process) -> None:
        """Tell it no more."""
        self._watching.pop(process, None)
        self._blind.pop(process, None)
        self.unheard.pop(process, None)

    def blind(self, process: Process) -> None:
        """Tell a process nothing until its watch begins anew."""
        self._blind[process] = None

    def begin_anew(self, process: Process) -> None:
        """Tell a process of the newest slot alone: what came before was compacted."""
        if self._blind.pop(process, process) is None and process in self._watching:
            self._trace.count("watch gap")
            self._tell(process, self._newest, None)

    def filled(self, slot: Slot, entry: bytes) -> None:
        """Tell everybody of a slot."""
        self._newest = slot
        for process in self._watching:
            if process not in self._blind:
                self._tell(process, slot, None if self._rng.random() < BARE_SHARE else entry)

    def _tell(self, process: Process, slot: Slot, entry: bytes | None) -> None:
        life, tell = self._watching[process]
        if life.is_cut_off or self._strikes("push-lost"):
            return
        delay_s = self._rng.uniform(0, 0.02)
        if self._strikes("push-late"):
            delay_s = self._rng.uniform(0, LATE_S_MAX)

        def arrive() -> None:
            if process in self._watching:
                self._trace.count("push" if entry is not None else "push without entry")
                tell(slot, entry)

        self._loop.call_later(delay_s, arrive, context=process.context)

    def _strikes(self, what: str) -> bool:
        if self._rng.random() >= self._chances[what]:
            return False
        self._trace.count(what)
        return True


class WatchedSlots:
    """The slots in memory, which tell of themselves."""

    def __init__(self, storage: MemoryStorage, watches: Watches) -> None:
        self._append = storage.order.append
        self._watches = watches
        storage.order.append = self.append  # type: ignore[method-assign]  # where it is stored

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        outcome = await self._append(slot, entry)
        if isinstance(outcome, Appended):
            self._watches.filled(slot, entry)
        return outcome


class WatchedOrderStore(FaultyOrderStore):
    """The order store as one process reaches it."""

    def __init__(
        self,
        inner: MemoryOrderStore,
        life: Life,
        trace: Trace,
        *,
        process: Process,
        watches: Watches,
    ) -> None:
        super().__init__(inner, life, trace)
        self._process = process
        self._watches = watches

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        if self._is_unheard(name):
            await asyncio.sleep(self._life.call_timeout_s)
            raise Unavailable("no answer")
        return await super().read_cell(name)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        if self._is_unheard(name):
            await asyncio.sleep(self._life.call_timeout_s)
            raise Indeterminate("no answer")
        return await super().swap_cell(name, old, new)

    def _is_unheard(self, name: str) -> bool:
        return name == BROKERS_CELL and self._process in self._watches.unheard

    async def follow(self, heard: Heard) -> None:
        """See `FollowedOrderStore`."""
        self._watches.begin(self._process, self._life, heard)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._watches.end(self._process)


_order_store: type[FollowedOrderStore] = WatchedOrderStore
