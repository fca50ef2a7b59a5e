"""The loading cache: bounded, least recently used out first, each key loaded once at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tidings.engine.cache import LoadingCache
from tidings.errors import Unavailable


class Source:
    """Loads keys as upper-case text, each of size 1, when the test lets it."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.may_end = asyncio.Event()
        self.failures: list[Exception] = []

    async def load(self, key: str) -> tuple[str, int]:
        self.loads.append(key)
        await self.may_end.wait()
        if self.failures:
            raise self.failures.pop()
        return key.upper(), 1


def run(scenario: Callable[[Source, LoadingCache[str, str]], Awaitable[None]]) -> None:
    async def main() -> None:
        source = Source()
        await scenario(source, LoadingCache(source.load, 3))

    asyncio.run(main())


async def settle() -> None:
    """Let every task run until it waits for the test."""
    for _ in range(10):
        await asyncio.sleep(0)


def put_only() -> LoadingCache[str, str]:
    async def load(key: str) -> tuple[str, int]:
        raise AssertionError(key)

    return LoadingCache(load, 3)


def held(cache: LoadingCache[str, str]) -> list[str]:
    return [key for key in "abcdef" if cache.get(key) is not None]


def test_put_beyond_the_bound_drops_the_least_recently_used() -> None:
    cache = put_only()
    for key in "abc":
        cache.put(key, key, 1)
    assert cache.get("a") == "a"
    cache.put("d", "d", 1)
    assert held(cache) == ["a", "c", "d"]
    assert cache.size == 3


def test_put_of_a_large_value_drops_as_many_as_it_needs() -> None:
    cache = put_only()
    for key in "abc":
        cache.put(key, key, 1)
    cache.put("d", "d", 2)
    assert held(cache) == ["c", "d"]
    assert cache.size == 3


def test_put_of_a_value_above_the_bound_holds_it_alone_until_the_next() -> None:
    cache = put_only()
    cache.put("a", "a", 1)
    cache.put("b", "b", 10)
    assert held(cache) == ["b"]
    cache.put("c", "c", 1)
    assert held(cache) == ["c"]
    assert cache.size == 1


def test_put_of_a_held_key_replaces_its_value_and_size() -> None:
    cache = put_only()
    cache.put("a", "old", 3)
    cache.put("a", "new", 1)
    cache.put("b", "b", 2)
    assert cache.get("a") == "new"
    assert cache.size == 3


def test_put_of_a_held_key_makes_it_the_newest() -> None:
    cache = put_only()
    for key in "abcad":
        cache.put(key, key, 1)
    assert held(cache) == ["a", "c", "d"]


def test_get_of_an_unknown_key_returns_none() -> None:
    assert put_only().get("a") is None


def test_fetch_of_a_held_value_does_not_load_and_makes_it_the_newest() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        for key in "abc":
            cache.put(key, key, 1)
        assert await cache.fetch("a") == "a"
        cache.put("d", "d", 1)
        assert held(cache) == ["a", "c", "d"]
        assert source.loads == []

    run(scenario)


def test_fetch_of_an_unknown_key_loads_and_holds_it() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        source.may_end.set()
        assert await cache.fetch("a") == "A"
        assert await cache.fetch("a") == "A"
        assert source.loads == ["a"]
        assert cache.size == 1

    run(scenario)


def test_fetches_of_one_key_at_once_share_one_load() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            fetches = [tasks.create_task(cache.fetch("a")) for _ in range(3)]
            await settle()
            source.may_end.set()
        assert [fetch.result() for fetch in fetches] == ["A", "A", "A"]
        assert source.loads == ["a"]

    run(scenario)


def test_fetches_of_other_keys_load_side_by_side() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for key in "ab":
                tasks.create_task(cache.fetch(key))
            await settle()
            assert source.loads == ["a", "b"]
            source.may_end.set()

    run(scenario)


def test_failed_load_fails_all_that_waited_for_it_and_is_forgotten() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        source.failures.append(Unavailable("away"))
        failed = 0

        async def fetch() -> None:
            nonlocal failed
            with pytest.raises(Unavailable, match="away"):
                await cache.fetch("a")
            failed += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(fetch())
            await settle()
            source.may_end.set()
        assert failed == 3
        assert source.loads == ["a"]
        assert await cache.fetch("a") == "A"

    run(scenario)


def test_cancelled_load_is_taken_over_by_one_that_waited() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            loader = tasks.create_task(cache.fetch("a"))
            waiters = [tasks.create_task(cache.fetch("a")) for _ in range(2)]
            await settle()
            loader.cancel()
            await settle()
            assert source.loads == ["a", "a"]
            source.may_end.set()
        assert loader.cancelled()
        assert [waiter.result() for waiter in waiters] == ["A", "A"]
        assert source.loads == ["a", "a"]

    run(scenario)


def test_cancelled_waiter_does_not_disturb_the_load() -> None:
    async def scenario(source: Source, cache: LoadingCache[str, str]) -> None:
        async with asyncio.TaskGroup() as tasks:
            loader = tasks.create_task(cache.fetch("a"))
            waiter = tasks.create_task(cache.fetch("a"))
            await settle()
            waiter.cancel()
            await settle()
            source.may_end.set()
        assert loader.result() == "A"
        assert source.loads == ["a"]

    run(scenario)
