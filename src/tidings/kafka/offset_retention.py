"""Upkeep of groups: forgets what groups committed that have had no members for long.

Kafka's `offsets.retention.minutes`. As there, time begins when the last member went (KIP-211), so
that a group which reads a quiet topic keeps its place; without members ever, at the commit.
"""

import asyncio
import logging
from collections.abc import Sequence

from tidings.core.membership.document import decode_group
from tidings.core.membership.generations import GroupState
from tidings.errors import TidingsError
from tidings.kafka.coordinator import Coordinator
from tidings.kafka.group_log import GroupLog, StoredGroup
from tidings.ports import Clock
from tidings.types import TopicPartition

CHECK_INTERVAL_S = 600.0
"""Between two looks at all groups (offsets.retention.check.interval.ms)."""

GROUPS_AT_ONCE = 100
"""Groups looked at before others get their turn."""

_logger = logging.getLogger(__name__)


class OffsetRetention:
    """Looks at all groups now and then."""

    def __init__(
        self, coordinator: Coordinator, log: GroupLog, clock: Clock, retention_ms: int
    ) -> None:
        self._coordinator = coordinator
        self._log = log
        self._clock = clock
        self._retention_ms = retention_ms

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self.expire()

    async def expire(self) -> None:
        """Forget what is due; what fails is tried again the next time."""
        for count, group_id in enumerate(list(self._log.state.groups), start=1):
            try:
                await self._expire_group(group_id)
            except TidingsError as error:
                _logger.warning("group %s keeps its offsets for now: %s", group_id, error)
            if count % GROUPS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _expire_group(self, group_id: str) -> None:
        description = await self._coordinator.describe(group_id)
        stored = self._log.state.groups.get(group_id)
        if stored is None or description is None or description.state is not GroupState.EMPTY:
            return
        before_ms = self._clock.now_ms() - self._retention_ms
        due = expired(stored, before_ms)
        if len(due) == len(stored.committed) and empty_since_ms(stored) <= before_ms:
            await self._coordinator.delete(group_id)
        elif due:
            await self._coordinator.delete_offsets(group_id, due)


def expired(stored: StoredGroup, before_ms: int) -> Sequence[TopicPartition]:
    """Return where a group without members committed that long ago, and had members."""
    if empty_since_ms(stored) > before_ms:
        return []
    return [name for name, found in stored.committed.items() if found.committed_ms <= before_ms]


def empty_since_ms(stored: StoredGroup) -> int:
    """Return since when a group has no members; 0 if it never had any."""
    return decode_group(stored.document).saved_ms if stored.document else 0
