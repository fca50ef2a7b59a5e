"""Several coordinators of one simulated group, who do not always agree on whose it is.

Each sees the journal through a fold of its own, which is behind now and then, and has a view of its
own of who is preferred, which may be old: for a moment, or for as long as a process that was
stopped sleeps. Consumers ask whom some broker tells them to ask, until they are sent away.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from groups_log import State, StoredGroup
from simulated_group import LostError, T, UnsettledLog, World

from tidings.core.entry import ANY_VERSION
from tidings.core.membership.messages import GroupError
from tidings.kafka.coordinator import Coordinator
from tidings.testing.clock import SimClock
from tidings.types import Offset, TopicPartition

BROKERS = 3
LAG_S_MAX = 2.0
"""How long a broker that is awake may not have heard of something."""

SLEEP_S_MAX = 40.0
"""How long one hears of nothing that is cut off, or was stopped and goes on."""

SLEEP_SHARE = 0.2

SENT_AWAY = (GroupError.NOT_COORDINATOR, GroupError.COORDINATOR_NOT_AVAILABLE)


class Fold:
    """The journal as one broker knows it: see `GroupLog`."""

    def __init__(self, shared: UnsettledLog, rng: random.Random) -> None:
        self._shared = shared
        self._rng = rng
        self.state = State()

    def catch_up(self) -> None:
        """Know everything."""
        self.state = State(
            {
                name: StoredGroup(dict(group.committed), group.version, group.document)
                for name, group in self._shared.state.groups.items()
            }
        )

    async def barrier(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, 0.05))
        self.catch_up()

    async def save_group(self, group: str, version: int, document: bytes) -> None:
        await self._shared.save_group(group, version, document)
        self.catch_up()

    async def commit_offsets(
        self,
        group: str,
        offsets: Mapping[TopicPartition, Offset],
        *,
        may_move_back: bool = False,
        details: Mapping[TopicPartition, tuple[int, str]] | None = None,
        version: int = ANY_VERSION,
    ) -> None:
        await asyncio.sleep(self._rng.uniform(0, 0.2))
        await self._shared.commit_offsets(
            group, offsets, may_move_back=may_move_back, details=details, version=version
        )
        self.catch_up()

    async def delete_offsets(
        self, group: str, partitions: Sequence[TopicPartition], *, version: int = ANY_VERSION
    ) -> None:
        await self._shared.delete_offsets(group, partitions, version=version)
        self.catch_up()

    async def delete_group(self, group: str, *, version: int = ANY_VERSION) -> bool:
        was_there = await self._shared.delete_group(group, version=version)
        self.catch_up()
        return was_there


class Broker:
    """A broker and its view of who is preferred."""

    def __init__(self, world: "Coordinators", number: int) -> None:
        self._rng = random.Random(f"{world.seed}/broker {number}")
        self._number = number
        self._world = world
        self.fold = Fold(world.log, self._rng)
        # Whom it takes for the coordinator.
        self.preferred = 0
        self.coordinator = Coordinator(
            self.fold,
            SimClock(asyncio.get_running_loop().time),
            self._rng,
            is_own=lambda _: self.preferred == self._number,
        )

    async def run(self) -> None:
        """Coordinate, and learn now and then what there is and who is preferred."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.coordinator.run())
            while True:
                slept = self._rng.random() < SLEEP_SHARE
                await asyncio.sleep(self._rng.uniform(0, SLEEP_S_MAX if slept else LAG_S_MAX))
                self.fold.catch_up()
                if self.preferred != self._world.preferred:
                    self._world.seen.count("moved late" if slept else "moved")
                    self.preferred = self._world.preferred
                    self.coordinator.look_again()


def _name() -> str:
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()


class Coordinators(World):
    """The brokers, and who is preferred in truth."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.seed = seed
        self.preferred = 0
        self.brokers = [Broker(self, number) for number in range(BROKERS)]
        self._whims = random.Random(f"{seed}/whims")
        # Whom each consumer asks, by the name of its task, until it is sent away or hears nothing.
        self._asked: dict[str, Coordinator] = {}

    def whom_to_ask(self) -> Coordinator:
        """Return whom some broker called the coordinator when this consumer last asked."""
        name = _name()
        if name not in self._asked:
            told = self._whims.choice(self.brokers)
            self._asked[name] = self.brokers[told.preferred].coordinator
        return self._asked[name]

    async def call(self, request: Callable[[Coordinator], Awaitable[T]]) -> T:
        try:
            answer = await super().call(request)
        except LostError:
            self._asked.pop(_name(), None)
            raise
        if getattr(answer, "error", answer) in SENT_AWAY:
            self._asked.pop(_name(), None)
        return answer

    async def run(self, lives: list[float]) -> None:
        """Let another broker be preferred after each of these times."""
        async with asyncio.TaskGroup() as tasks:
            for broker in self.brokers:
                tasks.create_task(broker.run())
            for life_s in lives:
                await asyncio.sleep(life_s)
                self.preferred = self._whims.randrange(BROKERS)
