"""The virtual clock passes only when it must, and the same program gives the same run."""

import asyncio
import re
import subprocess
import sys

import pytest

from tidings.testing.loop import TASKS_KEPT_MIN, DeadlockError, LivelockError, new_loop, run


def test_sleep_takes_virtual_time_only() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run(main()) == 3600


def test_timers_of_one_time_run_in_the_order_they_were_set() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        for number in range(5):
            loop.call_later(1, seen.append, number)
        await asyncio.sleep(1)
        return seen

    assert run(main()) == [0, 1, 2, 3, 4]


def test_timeout_cancels_what_takes_longer() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 5


def test_cancelled_timer_does_not_move_the_clock_back_or_run() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        timer = asyncio.get_running_loop().call_later(1, seen.append, "cancelled")
        timer.cancel()
        await asyncio.sleep(2)
        return seen

    assert run(main()) == []


def test_deadlock_names_each_task_and_where_it_waits() -> None:
    async def takes(queue: asyncio.Queue[int]) -> None:
        await queue.get()

    async def main() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(takes(asyncio.Queue()), name="reader")
            tasks.create_task(lock.acquire(), name="writer")

    with pytest.raises(DeadlockError) as failure:
        run(main())
    text = str(failure.value)
    assert re.search(r"reader: .*takes \(test_loop.py:\d+\) > Queue.get \(queues.py:\d+\)", text)
    assert "writer: Lock.acquire (locks.py:" in text


def test_livelock_is_an_error() -> None:
    loop = new_loop()

    def spin() -> None:
        loop.call_later(0, spin)

    loop.call_later(1.0, spin)
    with pytest.raises(LivelockError, match=r"time stands still at 1\.0 s"):
        loop.run_until_complete(asyncio.sleep(2))
    loop.close()


def test_tasks_that_ended_are_forgotten_and_the_others_cancelled() -> None:
    ended: list[int] = []

    async def left_behind(number: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(number)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(3):
            _ = loop.create_task(left_behind(number))
            for _ in range(TASKS_KEPT_MIN):
                await loop.create_task(asyncio.sleep(0))

    run(main())
    assert ended == [0, 1, 2]


def test_run_cancels_what_main_leaves_behind() -> None:
    seen: list[str] = []

    async def left_behind() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("ended")

    async def main() -> None:
        _ = asyncio.get_running_loop().create_task(left_behind())
        await asyncio.sleep(1)

    run(main())
    assert seen == ["ended"]


def test_error_that_nobody_awaits_is_raised() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(main())


def test_threads_are_refused() -> None:
    with pytest.raises(NotImplementedError):
        _ = new_loop().run_in_executor(None, print)


def test_file_descriptors_are_refused() -> None:
    with pytest.raises(NotImplementedError):
        new_loop().add_reader(0, print)


def test_sockets_are_refused() -> None:
    async def main() -> None:
        await asyncio.open_connection("localhost", 1)

    with pytest.raises(NotImplementedError):
        run(main())


ORDER_OF_CANCELLATION = """
import asyncio
from tidings.testing.loop import run

async def sleeper(number):
    try:
        await asyncio.sleep(number + 5)
    finally:
        print(number, end=" ")

async def fail():
    await asyncio.sleep(1)
    raise ValueError

async def main():
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(sleeper(number))
            tasks.create_task(fail())
    except* ValueError:
        pass

run(main())
"""


def test_tasks_are_cancelled_in_the_same_order_in_every_process() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", ORDER_OF_CANCELLATION],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(runs[0].split()) == 40
    assert runs[0] == runs[1] == runs[2]
