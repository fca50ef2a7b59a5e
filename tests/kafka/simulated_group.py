"""A group of simulated consumers, its coordinator, and a network and a journal that are trouble.

Everything is drawn from one seed and runs on virtual time. What consumers own is written down for
each generation, so that two owners of one partition are found, whenever they owned it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from groups_log import GroupsLog, StoredGroup

from tidings.core.membership.document import Protocol, decode_group
from tidings.core.membership.messages import (
    Claim,
    GroupError,
    JoinAnswer,
    JoinRequest,
    SyncRequest,
)
from tidings.errors import Fenced, Indeterminate, Unavailable
from tidings.kafka.coordinator import Coordinator
from tidings.testing.clock import SimClock
from tidings.types import Offset, TopicPartition

GROUP = "g"
PARTITIONS = [TopicPartition("t", number) for number in range(6)]
SESSION_MS = 6_000
REBALANCE_MS = 10_000
HEARTBEAT_S = 1.0
REQUEST_S_MAX = 15.0
"""How long a consumer waits for an answer."""

T = TypeVar("T")


class LostError(Exception):
    """A request or its answer did not arrive in time."""


class UnsettledLog(GroupsLog):
    """Its saves take a while, fail, and may land after the coordinator that asked has died."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        # How many of a hundred saves fail in some way.
        self.failures_percent = 0

    async def save_group(self, group: str, version: int, document: bytes) -> None:
        fate = self._rng.randrange(100)
        if fate < self.failures_percent // 2:
            raise Unavailable("a full disk")
        loop = asyncio.get_running_loop()
        landed: asyncio.Future[bool] = loop.create_future()
        loop.call_later(self._rng.uniform(0, 0.2), self._land, group, version, document, landed)
        if fate < self.failures_percent:
            raise Indeterminate("no answer")
        if not await landed:
            raise Fenced("somebody else saved this group")

    def _land(
        self, group: str, version: int, document: bytes, landed: asyncio.Future[bool]
    ) -> None:
        stored = self.state.groups.setdefault(group, StoredGroup())
        fits = version == stored.version + 1
        if fits:
            before = decode_group(stored.document) if stored.document else None
            after = decode_group(document)
            assert before is None or after.generation >= before.generation, "M2: it went back"
            stored.version, stored.document = version, document
        if not landed.done():
            landed.set_result(fits)


@dataclass
class Seen:
    """What happened, for the verdict."""

    owners: dict[tuple[int, TopicPartition], str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, event: str) -> None:
        self.counts[event] = self.counts.get(event, 0) + 1

    def owns(self, who: str, generation: int, partitions: list[TopicPartition]) -> None:
        for name in partitions:
            owner = self.owners.setdefault((generation, name), who)
            assert owner == who, f"{owner} and {who} own {name} in generation {generation}"


class World:
    """One broker's coordinator through its lives."""

    def __init__(self, seed: str) -> None:
        self.network = random.Random(f"{seed}/network")
        self.log = UnsettledLog(random.Random(f"{seed}/journal"))
        self.seen = Seen()
        # How many of a hundred answers are lost, and how long a message takes.
        self.loss_percent = 0
        self.latency_s_max = 0.01
        self._ids = random.Random(f"{seed}/ids")
        self._coordinator: Coordinator | None = None

    async def run(self, lives: list[float]) -> None:
        """Let a coordinator live so many seconds, then the next; the last one for ever."""
        for life_s in [*lives, 1e9]:
            clock = SimClock(asyncio.get_running_loop().time)
            self._coordinator = Coordinator(self.log, clock, self._ids)
            try:
                async with asyncio.timeout(life_s):
                    await self._coordinator.run()
            except TimeoutError:
                self.seen.count("restart")
            self._coordinator = None
            await asyncio.sleep(self.network.uniform(0, 3))

    def whom_to_ask(self) -> Coordinator | None:
        """Return the coordinator; None if it is away."""
        return self._coordinator

    async def call(self, request: Callable[[Coordinator], Awaitable[T]]) -> T:
        """Ask the coordinator over the network; raise `LostError` if no answer comes."""
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                await self._travel()
                coordinator = self.whom_to_ask()
                if coordinator is None:
                    raise LostError
                answer = await request(coordinator)
                await self._travel()
        except TimeoutError:
            self.seen.count("time-out")
            raise LostError from None
        if self.network.randrange(100) < self.loss_percent:
            self.seen.count("lost answer")
            raise LostError
        return answer

    async def _travel(self) -> None:
        await asyncio.sleep(self.network.uniform(0, self.latency_s_max))

    def stored_generation(self) -> int:
        return decode_group(self.log.state.groups[GROUP].document).generation


class Consumer:
    """A consumer as clients are: joins, assigns if it leads, heartbeats, commits."""

    def __init__(self, world: World, name: str, instance_id: str | None = None) -> None:
        self.name = name
        self._world = world
        self._rng = random.Random(f"{world.seen.counts}/{name}")
        self._instance_id = instance_id
        self._member_id = ""
        # What it owns, and in which generation; None while it has no place.
        self.owned: tuple[int, list[TopicPartition]] | None = None

    @property
    def _claim(self) -> Claim:
        return Claim(self._member_id, self._instance_id)

    @property
    def _identity(self) -> str:
        return self._instance_id or self._member_id

    async def run(self) -> None:
        """Live until cancelled, or until somebody else has taken its instance id."""
        while True:
            try:
                error = await self._rejoin()
                if error is GroupError.NONE:
                    error = await self._stay()
            except LostError:
                error = GroupError.COORDINATOR_NOT_AVAILABLE
            finally:
                self.owned = None
            self._world.seen.count(error.name)
            if error is GroupError.FENCED_INSTANCE_ID:
                return
            if error is GroupError.UNKNOWN_MEMBER_ID:
                self._member_id = ""
            if error is not GroupError.MEMBER_ID_REQUIRED:
                await asyncio.sleep(self._rng.uniform(0, 0.3))

    async def _rejoin(self) -> GroupError:
        place = await self._world.call(lambda broker: broker.join(GROUP, self._request(broker)))
        if place.error is GroupError.MEMBER_ID_REQUIRED:
            self._member_id = place.member_id
        if place.error is not GroupError.NONE:
            return place.error
        self._member_id = place.member_id
        sync = SyncRequest(
            claim=self._claim,
            generation=place.generation,
            protocol_type=place.protocol_type,
            protocol=place.protocol,
            assignments=self._assign(place),
        )
        answer = await self._world.call(lambda broker: broker.sync(GROUP, sync))
        if answer.error is GroupError.NONE:
            partitions = [PARTITIONS[number] for number in answer.assignment]
            self.owned = place.generation, partitions
            self._world.seen.owns(self._identity, place.generation, partitions)
            self._world.seen.count("assigned")
        return answer.error

    def _request(self, broker: Coordinator) -> JoinRequest:
        return JoinRequest(
            member_id=self._member_id,
            new_member_id=broker.new_member_id(self.name),
            instance_id=self._instance_id,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            protocol_type="consumer",
            protocols=(Protocol("any", b""),),
        )

    def _assign(self, place: JoinAnswer) -> tuple[tuple[str, bytes], ...]:
        """Deal the partitions out at random: each time that it assigns, it assigns otherwise."""
        if place.leader != self._member_id or place.skip_assignment:
            return ()
        dealt: dict[str, list[int]] = {member.member_id: [] for member in place.members}
        for number in range(len(PARTITIONS)):
            dealt[self._rng.choice(list(dealt))].append(number)
        return tuple((name, bytes(numbers)) for name, numbers in dealt.items())

    async def _stay(self) -> GroupError:
        assert self.owned is not None, "it has a place"
        generation, partitions = self.owned
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * HEARTBEAT_S)
            try:
                error = await self._beat(generation, partitions)
            except LostError:
                continue
            if error is not GroupError.NONE:
                return error

    async def _beat(self, generation: int, partitions: list[TopicPartition]) -> GroupError:
        if partitions and self._rng.random() < 0.5:
            offsets = {name: Offset(generation) for name in partitions}
            return await self._world.call(lambda broker: self._commit(broker, generation, offsets))
        claim = self._claim
        return await self._world.call(lambda broker: broker.heartbeat(GROUP, claim, generation))

    async def _commit(
        self, broker: Coordinator, generation: int, offsets: Mapping[TopicPartition, Offset]
    ) -> GroupError:
        newest = max(generation for generation, _ in self._world.seen.owners)
        error = await broker.commit(GROUP, self._claim, generation, offsets, {})
        if error is GroupError.NONE:
            assert newest == generation, f"committed in {generation} when {newest} had owners"
            self._world.seen.count("commit")
        return error


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[asyncio.Task[None]]:
    """Run a consumer; leaving kills it."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(consumer.run(), name=consumer.name)
        yield task
        task.cancel()
