"""What the handlers of all APIs work with."""

import asyncio
import itertools
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidings.core.membership.generations import GroupLimits
from tidings.engine.log import Log
from tidings.errors import Unavailable
from tidings.kafka.coordinator import Coordinator
from tidings.kafka.known_brokers import KnownBrokers, Listener, OneBroker, group_thing
from tidings.kafka.offset_retention import OffsetRetention
from tidings.kafka.settings import BrokerSettings
from tidings.ports import Clock

logger = logging.getLogger(__name__)

CATCH_UP_PATIENCE_S = 2.0
"""How long metadata waits for an order store that does not answer."""


@dataclass(slots=True)
class Broker:
    """One broker: its log, and what it was told."""

    log: Log
    clock: Clock
    settings: BrokerSettings
    cluster_id: str
    known: KnownBrokers | None = None
    """Who else is there; None: nobody."""
    rng: random.Random = field(default_factory=random.SystemRandom)
    """Where ids come from."""

    fetch_turns: Iterator[int] = field(default_factory=itertools.count)
    """Counts Fetch requests: each looks at another one of its partitions first."""

    groups: Coordinator = field(init=False)
    """The consumer groups."""

    brokers: KnownBrokers = field(init=False)
    """This broker and the others."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.brokers = self.known or OneBroker(settings.node_id)
        limits = GroupLimits(
            session_timeout_min_ms=settings.group_session_timeout_min_ms,
            session_timeout_max_ms=settings.group_session_timeout_max_ms,
            size_max=settings.group_size_max,
            initial_rebalance_delay_ms=settings.group_initial_rebalance_delay_ms,
        )
        self.groups = Coordinator(
            self.log,
            self.clock,
            self.rng,
            limits,
            is_own=self._is_coordinator_of if self.known else None,
        )

    def _is_coordinator_of(self, group_id: str) -> bool:
        return self.brokers.preferred(group_thing(group_id)) == self.settings.node_id

    async def catch_up(self) -> None:
        """Know what was settled by now; go on with what is known if the order store says nothing.

        For what clients ask again anyway. Before the journal was read once, this waits for that.
        """
        if self.known is None:
            # Nobody else writes, so that this asks nobody.
            await self.log.barrier()
            return
        await self.log.journal.recovered.wait()
        try:
            async with asyncio.timeout(CATCH_UP_PATIENCE_S):
                await self.log.barrier()
        except (Unavailable, TimeoutError) as error:
            logger.info("answered with what was known: %s", str(error) or "no answer in time")

    async def run(self) -> None:
        """Keep going what goes on by itself, until cancelled."""
        retention_ms = self.settings.offsets_retention_minutes * 60_000
        retention = OffsetRetention(self.groups, self.log, self.clock, retention_ms)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.groups.run(), name="groups")
            tasks.create_task(retention.run(), name="offset retention")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a request besides its body."""

    api_version: int
    client_id: str | None
    client_host: str
    listener: Listener
    """The address of this broker, as this client should know it."""
    answer_bytes_max: int
    """An answer with records should not be larger: the room that is left for what is unsent."""
