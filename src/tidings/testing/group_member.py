"""A member of a simulated consumer group, as clients are: joins, reads what it owns, commits.

A member that does not know what became of a commit comes again as somebody new: what is under way
may still arrive, and only a new generation is sure to keep it out.
"""

import asyncio
import contextlib
from random import Random
from typing import Final

from kio.schema.errors import ErrorCode

from tidings.kafka.schema import Entity
from tidings.testing.cluster_world import TOPIC, ClusterWorld
from tidings.testing.group_judge import GroupJudge
from tidings.testing.kafka_caller import KafkaCaller, NoAnswer
from tidings.testing.kafka_process import fetch

GROUP: Final = "readers"

RETRY_S: Final = 0.1

ROUND_S: Final = 0.4
"""The longest pause between two rounds: to read, to show itself, to commit."""

SLEEP_SHARE: Final = 0.02
"""The share of rounds after which a member is not heard of for longer than its session."""

COMMIT_AGAIN_SHARE: Final = 0.7
"""How often what is committed already is committed again."""

LOOK_S: Final = 1.5
"""The longest pause of an observer between two looks."""

LOOK_PATIENCE_S: Final = 10.0
"""How long it waits for an answer: longer than most brokers are stopped."""

COORDINATOR_SHARE: Final = 0.7
"""The share of offsets that are asked of the coordinator; any broker knows them."""


class _SentAway(Exception):
    """What was asked was refused."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class GroupMember:
    """One consumer through all its memberships."""

    def __init__(self, world: ClusterWorld, judge: GroupJudge, host: str) -> None:
        plan = world.plan
        self.host = host
        self._world = world
        self._judge = judge
        self._rng = Random(f"{plan.seed}/{host}")
        self._session_s = plan.session_ms / 1000
        self._calls = KafkaCaller(plan.client_timeout_s)
        self._coordinator: str | None = None
        self._member_id = ""
        self._generation = -1
        # The next offset to read of each partition that it owns, and what it committed of it.
        self._positions: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            try:
                await self._join()
                await self._read_on()
            except NoAnswer:
                self._coordinator = None
            except _SentAway as away:
                self._world.trace.count(f"sent away: {away.code.name}")
                self._take_in(away.code)
            await asyncio.sleep(self._rng.uniform(0, RETRY_S))

    def _take_in(self, code: ErrorCode) -> None:
        match code:
            case ErrorCode.not_coordinator | ErrorCode.coordinator_not_available:
                self._coordinator = None
            case ErrorCode.unknown_member_id:
                self._member_id = ""
            case ErrorCode.rebalance_in_progress | ErrorCode.illegal_generation:
                pass
            case _:
                raise AssertionError(f"{self.host} was refused: {code.name}")

    async def _ask(self, module: str, timeout_s: float = 0, **values: object) -> Entity:
        """Ask the coordinator about the group."""
        coordinator = await self._find_coordinator()
        return await self._calls.ask(
            coordinator, module, timeout_s, group_id=GROUP, member_id=self._member_id, **values
        )

    async def _find_coordinator(self) -> str:
        if self._coordinator is None:
            somebody = self._rng.choice(self._world.hosts)
            found = await self._calls.ask(somebody, "find_coordinator", key=GROUP, key_type=0)
            self._coordinator = str(found.host)
        return self._coordinator

    # Joining ------------------------------------------------------------------------------------

    async def _join(self) -> None:
        place = await self._ask(
            "join_group",
            3 * self._session_s + 1,
            session_timeout=round(1000 * self._session_s),
            rebalance_timeout=round(1000 * self._session_s),
            protocol_type="consumer",
            protocols=[{"name": "any", "metadata": b""}],
        )
        code = ErrorCode(place.error_code)
        if code is ErrorCode.member_id_required:
            self._member_id = place.member_id
            await self._join()
            return
        _check(code)
        self._member_id = place.member_id
        assignments = self._assign(place) if place.leader == place.member_id else []
        answer = await self._ask(
            "sync_group",
            2 * self._session_s + 1,
            generation_id=place.generation_id,
            protocol_type="consumer",
            protocol_name="any",
            assignments=assignments,
        )
        _check(ErrorCode(answer.error_code))
        self._generation = place.generation_id
        owned = list(bytes(answer.assignment))
        self._judge.owns(self._member_id, self._generation, owned)
        self._positions = await self._committed_offsets(owned)
        self._committed = dict(self._positions)

    def _assign(self, place: Entity) -> list[dict[str, object]]:
        """Deal the partitions out at random: each time that it assigns, it assigns otherwise."""
        dealt: dict[str, list[int]] = {each.member_id: [] for each in place.members}
        for partition in range(self._world.plan.partition_count):
            dealt[self._rng.choice(list(dealt))].append(partition)
        return [
            {"member_id": name, "assignment": bytes(partitions)}
            for name, partitions in dealt.items()
        ]

    async def _committed_offsets(self, partitions: list[int]) -> dict[int, int]:
        host = await self._find_coordinator()
        if self._rng.random() > COORDINATOR_SHARE:
            host = self._rng.choice(self._world.hosts)
        if not partitions:
            return {}
        return await _committed_offsets(self._calls, self._judge, self._member_id, host, partitions)

    # Reading ------------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        """Read and commit until this member is sent away, or does not know what it committed."""
        while True:
            await asyncio.sleep(self._rng.uniform(0, ROUND_S))
            if not self._world.is_healed and self._rng.random() < SLEEP_SHARE:
                self._world.trace.count("member slept")
                await asyncio.sleep(self._rng.uniform(0, 3 * self._session_s))
            await self._read()
            try:
                await self._beat()
                await self._commit()
            except _SentAway as away:
                if away.code not in (
                    ErrorCode.not_coordinator,
                    ErrorCode.coordinator_not_available,
                ):
                    raise
                # Another broker coordinates; the generation goes on.
                self._coordinator = None

    async def _read(self) -> None:
        if not self._positions:
            return
        wanted = {str(partition): offset for partition, offset in self._positions.items()}
        try:
            found = await fetch(self._calls, self._rng.choice(self._world.hosts), wanted)
        except NoAnswer:
            return
        for key, pairs in found.items():
            self._positions[int(key)] = pairs[-1][0] + 1

    async def _beat(self) -> None:
        try:
            answer = await self._ask("heartbeat", generation_id=self._generation)
        except NoAnswer:
            self._coordinator = None
            return
        _check(ErrorCode(answer.error_code))

    async def _commit(self) -> None:
        if self._positions == self._committed and self._rng.random() > COMMIT_AGAIN_SHARE:
            return
        offsets = dict(self._positions)
        if not offsets:
            return
        newest = self._judge.newest
        self._judge.tries(offsets)
        code = await self._try_to_commit(offsets)
        if code is ErrorCode.coordinator_not_available:
            self._world.trace.count("commit unknown")
            self._member_id = ""
            raise _SentAway(ErrorCode.unknown_member_id)
        _check(code)
        self._committed |= offsets
        self._judge.committed(self._member_id, self._generation, offsets, newest)

    async def _try_to_commit(self, offsets: dict[int, int]) -> ErrorCode:
        partitions = [
            {"partition_index": partition, "committed_offset": offset, "committed_metadata": ""}
            for partition, offset in offsets.items()
        ]
        await self._find_coordinator()
        try:
            answer = await self._ask(
                "offset_commit",
                generation_id_or_member_epoch=self._generation,
                topics=[{"name": TOPIC, "partitions": partitions}],
            )
        except NoAnswer as error:
            self._coordinator = None
            refused = ErrorCode.not_coordinator
            return ErrorCode.coordinator_not_available if error.was_sent else refused
        codes = [ErrorCode(each.error_code) for topic in answer.topics for each in topic.partitions]
        assert codes.count(codes[0]) == len(codes), f"a commit had several outcomes: {codes}"
        return codes[0]


async def observe(world: ClusterWorld, judge: GroupJudge, host: str) -> None:
    """Ask one broker again and again how far the group has come, until cancelled."""
    rng = Random(f"{world.plan.seed}/observer of {host}")
    calls = KafkaCaller(LOOK_PATIENCE_S)
    partitions = list(range(world.plan.partition_count))
    while True:
        await asyncio.sleep(rng.uniform(0, LOOK_S))
        with contextlib.suppress(NoAnswer, _SentAway):
            await _committed_offsets(calls, judge, f"observer of {host}", host, partitions)


async def _committed_offsets(
    calls: KafkaCaller, judge: GroupJudge, who: str, host: str, partitions: list[int]
) -> dict[int, int]:
    """Ask a broker, which need not be the coordinator, for committed offsets.

    Raises:
        NoAnswer, _SentAway: It does not tell.
    """
    floor = dict(judge.known)
    answer = await calls.ask(
        host,
        "offset_fetch",
        group_id=GROUP,
        topics=[{"name": TOPIC, "partition_indexes": partitions}],
    )
    [topic] = answer.topics
    for each in topic.partitions:
        _check(ErrorCode(each.error_code))
    offsets = {each.partition_index: max(0, each.committed_offset) for each in topic.partitions}
    judge.told(who, offsets, floor)
    return offsets


def _check(code: ErrorCode) -> None:
    """Raise a refusal."""
    if code is not ErrorCode.none:
        raise _SentAway(code)
