"""Brokers on one order store: taking node ids, seeing each other, dying, leaving."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from random import Random

import msgspec
import pytest

from tidings.errors import Fenced, Indeterminate, InvalidRequest, Unavailable
from tidings.kafka.cluster.brokers import CELL, Registration, decode_brokers
from tidings.kafka.cluster.identity import read_or_make_identity
from tidings.kafka.cluster.registry import Registry, register
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.kafka.known_brokers import KnownBroker, Listener
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run

SETTINGS = RegistrySettings()
LISTENER = Listener("elsewhere", 1)
THINGS = [f"thing {number}" for number in range(100)]


def on_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on a loop whose time is virtual."""

    @wraps(test)
    def runs() -> None:
        run(test())

    del runs.__wrapped__
    return runs


class Store(MemoryOrderStore):
    """An order store that may be away, and may lose its answers."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        # How many swaps from now on are carried out without an answer.
        self.lost_answers = 0

    async def read_cell(self, name: str) -> bytes | None:
        self._be_there()
        return await super().read_cell(name)

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        self._be_there()
        is_set = await super().swap_cell(name, old, new)
        if self.lost_answers:
            self.lost_answers -= 1
            raise Indeterminate("no answer")
        return is_set

    def _be_there(self) -> None:
        if self.is_away:
            raise Unavailable("away")


def one(port: int, incarnation: str = "") -> Registration:
    """A broker that has no node id yet."""
    return Registration(0, incarnation or f"life {port}", "host", port, "host", 9, None, 0)


async def taken(store: Store, own: Registration, node_id: int | None = None) -> Registration:
    return await register(store, own, Random(own.port), node_id=node_id, settings=SETTINGS)


class Broker:
    """A registered broker whose beats can be stopped."""

    def __init__(self, store: Store, own: Registration, links: Sequence[int]) -> None:
        self.registry = Registry(
            store,
            own,
            Random(own.port),
            settings=SETTINGS,
            is_linked=lambda node_id: node_id in links,
        )
        self.task: asyncio.Task[None]
        self.changes = 0
        self.registry.observers.append(self._note)

    def _note(self) -> None:
        self.changes += 1

    @property
    def sees(self) -> list[int]:
        return list(self.registry.node_ids)


@asynccontextmanager
async def cluster(store: Store, count: int, *, linked: bool = False) -> AsyncIterator[list[Broker]]:
    """Run brokers with node ids from 1 on."""
    links = range(1, count + 1) if linked else ()
    async with asyncio.TaskGroup() as tasks:
        brokers = []
        for port in range(1, count + 1):
            broker = Broker(store, await taken(store, one(port)), links)
            broker.task = tasks.create_task(broker.registry.serve())
            brokers.append(broker)
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        yield brokers
        for broker in brokers:
            broker.task.cancel()


# Node ids ---------------------------------------------------------------------------------------


@on_virtual_time
async def test_brokers_that_name_no_node_id_get_the_least_that_is_free() -> None:
    store = Store()
    assert [(await taken(store, one(port))).node_id for port in (1, 2, 3)] == [1, 2, 3]


@on_virtual_time
async def test_broker_that_comes_again_to_its_address_has_its_node_id_again() -> None:
    store = Store()
    for port in (1, 2, 3):
        await taken(store, one(port))
    assert (await taken(store, one(2, "next life"))).node_id == 2
    cell = decode_brokers(await store.read_cell(CELL))
    assert [(each.node_id, each.incarnation) for each in cell] == [
        (1, "life 1"),
        (2, "next life"),
        (3, "life 3"),
    ]


@on_virtual_time
async def test_brokers_that_begin_at_once_get_different_node_ids() -> None:
    store = Store()
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(taken(store, one(port))) for port in range(10)]
    assert sorted(each.result().node_id for each in found) == list(range(1, 11))


@on_virtual_time
async def test_node_id_of_a_broker_that_is_alive_is_refused() -> None:
    store = Store()
    async with cluster(store, 1):
        with pytest.raises(InvalidRequest, match="--node-id"):
            await taken(store, one(7), node_id=1)


@on_virtual_time
async def test_node_id_of_a_broker_that_is_dead_is_taken() -> None:
    store = Store()
    await taken(store, one(1), node_id=5)
    assert (await taken(store, one(2), node_id=5)).node_id == 5
    assert asyncio.get_running_loop().time() >= SETTINGS.session_s


@on_virtual_time
async def test_registration_without_an_answer_is_there_once() -> None:
    store = Store()
    store.lost_answers = 1
    assert (await taken(store, one(1))).node_id == 1
    assert len(decode_brokers(await store.read_cell(CELL))) == 1


@on_virtual_time
async def test_broker_whose_node_id_was_taken_by_another_ends() -> None:
    store = Store()
    broker = Broker(store, await taken(store, one(1)), ())
    await taken(store, one(2), node_id=1)
    with pytest.raises(Fenced, match="node id 1"):
        await broker.registry.serve()


@on_virtual_time
async def test_broker_whose_address_another_one_claims_as_well_ends() -> None:
    store = Store()
    broker = Broker(store, await taken(store, one(1)), ())
    await taken(store, one(1, "another"))
    with pytest.raises(Fenced, match="address of its own"):
        await broker.registry.serve()


# Seeing each other ------------------------------------------------------------------------------


@on_virtual_time
async def test_brokers_see_each_other_and_prefer_alike() -> None:
    async with cluster(Store(), 3) as brokers:
        assert [broker.sees for broker in brokers] == [[1, 2, 3]] * 3
        preferred = [[each.registry.preferred(thing) for thing in THINGS] for each in brokers]
        assert preferred[0] == preferred[1] == preferred[2]
        assert sorted(dict.fromkeys(preferred[0])) == [1, 2, 3]
        assert brokers[0].registry.live(LISTENER)[1] == KnownBroker(2, "host", 2, None)


@on_virtual_time
async def test_clients_of_a_listener_are_told_of_the_brokers_that_have_it() -> None:
    store = Store()
    outside = Listener("out", 7, "outside")
    async with cluster(store, 2) as (first, _), asyncio.TaskGroup() as tasks:
        with_two = msgspec.structs.replace(one(9), listeners=(outside,))
        third = Broker(store, await taken(store, with_two), ())
        third.task = tasks.create_task(third.registry.serve())
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        asked = Listener("elsewhere", 1, "outside")
        for registry in (first.registry, third.registry):
            assert registry.live(asked) == [KnownBroker(3, "out", 7, None)]
            assert registry.live(LISTENER)[2] == KnownBroker(3, "host", 9, None)
            assert {registry.preferred(thing, asked) for thing in THINGS} == {3}
            assert {registry.preferred(thing, LISTENER) for thing in THINGS} == {1, 2, 3}
            assert registry.live(Listener("x", 1, "nowhere")) == []
            assert registry.preferred("x", Listener("x", 1, "nowhere")) == registry.own.node_id
        third.task.cancel()


@on_virtual_time
async def test_broker_that_does_not_serve_yet_is_not_told_to_anybody() -> None:
    store = Store()
    async with cluster(store, 2) as brokers:
        late = Broker(store, await taken(store, one(9)), ())
        await late.registry.look()
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        assert [broker.sees for broker in (*brokers, late)] == [[1, 2]] * 3


@on_virtual_time
async def test_broker_without_others_sees_itself() -> None:
    store = Store()
    broker = Broker(store, await taken(store, one(1)), ())
    await broker.registry.look()
    assert broker.sees == [1]
    assert broker.registry.preferred("thing") == 1


@pytest.mark.parametrize(
    ("linked", "patience_s"), [(False, SETTINGS.unlinked_session_s), (True, SETTINGS.session_s)]
)
def test_broker_that_died_is_noticed(*, linked: bool, patience_s: float) -> None:
    async def main() -> None:
        async with cluster(Store(), 3, linked=linked) as (first, second, third):
            second.task.cancel()
            await asyncio.sleep(patience_s - SETTINGS.beat_interval_s)
            assert first.sees == third.sees == [1, 2, 3]
            before = first.changes
            await asyncio.sleep(3 * SETTINGS.beat_interval_s)
            assert first.sees == third.sees == [1, 3]
            assert first.changes == before + 1
            assert first.registry.preferred("thing") in (1, 3)

    run(main())


@on_virtual_time
async def test_broker_that_has_ended_is_dead_at_once_until_it_beats_again() -> None:
    async with cluster(Store(), 3, linked=True) as (first, second, third):
        before = first.changes
        first.registry.note_ended(2)
        assert first.sees == [1, 3]
        assert first.changes == before + 1
        assert third.sees == [1, 2, 3]
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        assert first.sees == [1, 2, 3]
        second.task.cancel()
        await asyncio.sleep(SETTINGS.beat_interval_s)
        first.registry.note_ended(2)
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        assert first.sees == [1, 3]
        assert third.sees == [1, 2, 3]
        first.registry.note_ended(2)
        first.registry.note_ended(7)
        assert first.sees == [1, 3]


@on_virtual_time
async def test_broker_that_has_been_dead_for_long_is_forgotten() -> None:
    store = Store()
    async with cluster(store, 2) as (_, second):
        second.task.cancel()
        await asyncio.sleep(SETTINGS.forget_s + 2 * SETTINGS.beat_interval_s)
        assert [each.node_id for each in decode_brokers(await store.read_cell(CELL))] == [1]


@on_virtual_time
async def test_broker_that_was_forgotten_while_it_slept_comes_again() -> None:
    store = Store()
    async with cluster(store, 2) as (first, second), asyncio.TaskGroup() as tasks:
        second.task.cancel()
        await asyncio.sleep(2 * SETTINGS.forget_s)
        second.task = tasks.create_task(second.registry.serve())
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        assert first.sees == second.sees == [1, 2]
        second.task.cancel()


@on_virtual_time
async def test_nobody_is_taken_for_dead_because_the_store_is_away() -> None:
    store = Store()
    async with cluster(store, 3) as brokers:
        before = [broker.changes for broker in brokers]
        store.is_away = True
        await asyncio.sleep(10 * SETTINGS.forget_s)
        store.is_away = False
        await asyncio.sleep(3 * SETTINGS.session_s)
        assert [broker.sees for broker in brokers] == [[1, 2, 3]] * 3
        assert [broker.changes for broker in brokers] == before


@on_virtual_time
async def test_broker_whose_beats_get_no_answer_stays() -> None:
    store = Store()
    async with cluster(store, 2) as brokers:
        store.lost_answers = 5
        await asyncio.sleep(SETTINGS.session_s)
        assert [broker.sees for broker in brokers] == [[1, 2]] * 2


# Leaving ----------------------------------------------------------------------------------------


@on_virtual_time
async def test_broker_that_leaves_is_gone_at_once_also_for_itself() -> None:
    store = Store()
    async with cluster(store, 3) as (first, second, third):
        await second.registry.leave()
        assert second.sees == [1, 3]
        assert second.registry.preferred("thing") in (1, 3)
        await asyncio.sleep(2 * SETTINGS.beat_interval_s)
        assert first.sees == third.sees == [1, 3]
        await asyncio.sleep(SETTINGS.session_s)
        assert [each.node_id for each in decode_brokers(await store.read_cell(CELL))] == [1, 3]


@on_virtual_time
async def test_broker_that_is_alone_leaves_and_still_knows_itself() -> None:
    store = Store()
    async with cluster(store, 1) as (broker,):
        await broker.registry.leave()
        assert broker.sees == [1]
        assert decode_brokers(await store.read_cell(CELL)) == []


@on_virtual_time
async def test_broker_that_cannot_say_that_it_leaves_does_not_wait_for_long() -> None:
    store = Store()
    async with cluster(store, 1) as (broker,):
        store.is_away = True
        await broker.registry.leave()


# What they have in common -----------------------------------------------------------------------


@on_virtual_time
async def test_brokers_of_one_store_have_one_identity() -> None:
    store = Store()
    first = await read_or_make_identity(store, Random(1))
    assert await read_or_make_identity(store, Random(2)) == first
    assert len(first.cluster_id) == 22
    assert len(first.secret) == 32
    assert repr(first) == f"Identity({first.cluster_id!r})"


@on_virtual_time
async def test_identity_whose_writing_got_no_answer_is_the_one_that_is_there() -> None:
    store = Store()
    store.lost_answers = 1
    assert await read_or_make_identity(store, Random(1)) == await read_or_make_identity(
        store, Random(2)
    )
