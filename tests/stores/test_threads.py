import asyncio
import threading

import pytest
from real_loop import run_real

from tidings.errors import Indeterminate, Unavailable
from tidings.stores import threads
from tidings.stores.threads import Threads


def test_call_that_takes_too_long_is_indeterminate_and_the_next_is_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        held = threading.Event()
        pool = Threads("tests")
        monkeypatch.setattr(threads, "TIMEOUT_S", 0.0)
        with pytest.raises(Indeterminate):
            await pool.call(held.wait)
        monkeypatch.undo()
        held.set()
        assert await pool.call(lambda: 7) == 7
        await pool.close()

    run_real(main())


def test_caller_that_is_cancelled_leaves_the_call_to_be_carried_out() -> None:
    async def main() -> None:
        begun, held, done = threading.Event(), threading.Event(), []
        pool, watching = Threads("tests"), Threads("watching")

        def function() -> None:
            begun.set()
            held.wait()
            done.append(True)

        async with asyncio.TaskGroup() as tasks:
            caller = tasks.create_task(pool.call(function))
            await watching.call(begun.wait)
            caller.cancel()
        held.set()
        await pool.close()
        await watching.close()
        assert caller.cancelled()
        assert done == [True]
        with pytest.raises(Unavailable):
            await pool.call(function)

    run_real(main())


def test_error_of_a_call_is_its_callers() -> None:
    async def main() -> None:
        pool = Threads("tests")
        with pytest.raises(ZeroDivisionError):
            await pool.call(lambda: 1 // 0)
        await pool.close()

    run_real(main())
