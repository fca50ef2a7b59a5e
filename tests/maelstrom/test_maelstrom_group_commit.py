"""Group commit: what shares a batch, and what becomes of a batch that fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.maelstrom import group_commit
from tidings.maelstrom.group_commit import GroupCommit
from tidings.testing.loop import run


class Log:
    """Takes a second for each batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[Any]]] = []
        self.failure: Exception | None = None
        self.duration_s = 1.0

    async def publish(self, key: str, messages: Sequence[Any]) -> Sequence[int]:
        self.batches.append((key, list(messages)))
        await asyncio.sleep(self.duration_s)
        if self.failure is not None:
            raise self.failure
        return [message * 10 for message in messages]


@asynccontextmanager
async def gathering() -> AsyncIterator[tuple[Log, GroupCommit]]:
    log = Log()
    sends = GroupCommit(log.publish)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sends.run())
        yield log, sends
        running.cancel()


async def send_all(sends: GroupCommit, key: str, messages: Sequence[int]) -> list[Any]:
    """Send at the same time; return each offset, or the failure."""
    results: dict[int, Any] = {}

    async def send(message: int) -> None:
        try:
            results[message] = await sends.send(key, message)
        except (TidingsError, ZeroDivisionError) as failure:
            results[message] = failure

    async with asyncio.TaskGroup() as tasks:
        for message in messages:
            tasks.create_task(send(message))
    return [results[message] for message in messages]


def test_group_commit_what_arrives_during_a_batch_shares_the_next() -> None:
    async def main() -> None:
        async with gathering() as (log, sends), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(sends.send("k", 1))
            await asyncio.sleep(0.5)
            assert await send_all(sends, "k", [2, 3, 4]) == [20, 30, 40]
            assert await first == 10
            assert log.batches == [("k", [1]), ("k", [2, 3, 4])]
            assert asyncio.get_running_loop().time() == 2.0
            assert await sends.send("k", 5) == 50

    run(main())


def test_group_commit_keys_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        async with gathering() as (_, sends), asyncio.TaskGroup() as tasks:
            for key in "abc":
                tasks.create_task(sends.send(key, 1))
            await asyncio.sleep(0)
        assert asyncio.get_running_loop().time() == 1.0

    run(main())


@pytest.mark.parametrize("failure", [Unavailable("no"), Indeterminate("?")])
def test_group_commit_batch_that_fails_is_never_definite(failure: Exception) -> None:
    async def main() -> None:
        async with gathering() as (log, sends):
            log.failure = failure
            results = await send_all(sends, "k", [1, 2])
            assert [type(result) for result in results] == [Indeterminate, Indeterminate]
            log.failure = None
            assert await sends.send("k", 3) == 30

    run(main())


def test_group_commit_unexpected_failure_reaches_the_senders_only() -> None:
    async def main() -> None:
        async with gathering() as (log, sends):
            log.failure = ZeroDivisionError()
            assert await send_all(sends, "k", [1]) == [log.failure]
            log.failure = None
            assert await sends.send("k", 2) == 20

    run(main())


def test_group_commit_batch_that_hangs_is_given_up_as_indeterminate() -> None:
    async def main() -> None:
        async with gathering() as (log, sends):
            log.duration_s = 1e6
            with pytest.raises(Indeterminate):
                await sends.send("k", 1)
            assert asyncio.get_running_loop().time() == group_commit.PUBLISH_TIMEOUT_S

    run(main())


def test_group_commit_message_given_up_while_it_waits_is_not_published() -> None:
    async def main() -> None:
        async with gathering() as (log, sends), asyncio.TaskGroup() as tasks:
            tasks.create_task(sends.send("k", 1))
            await asyncio.sleep(0.1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await sends.send("k", 2)
            assert await sends.send("k", 3) == 30
            assert log.batches == [("k", [1]), ("k", [3])]

    run(main())


def test_group_commit_too_many_waiting_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "PENDING_MESSAGES_MAX", 2)
    monkeypatch.setattr(group_commit, "BATCH_MESSAGES_MAX", 1)

    async def main() -> None:
        async with gathering() as (log, sends):
            results = await send_all(sends, "k", [1, 2, 3])
            assert results[:2] == [10, 20]
            assert isinstance(results[2], Unavailable)
            assert log.batches == [("k", [1]), ("k", [2])]
            assert await sends.send("k", 4) == 40

    run(main())
