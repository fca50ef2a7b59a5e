"""Following the journal in etcd: a watch, and what becomes of it in trouble."""

import asyncio
from collections.abc import Iterator

import databases
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import Ear, answered, etcd_stores, etcd_url

from tidings.stores.etcd import EtcdOrderStore
from tidings.stores.etcd.following import Follower
from tidings.stores.etcd.messages import RANGE, Found, _number, range_request
from tidings.types import Slot

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of an etcd that nobody troubles."""
    with obtained(databases.etcd) as server:
        yield f"etcd://{server.address}"


@pytest.fixture(scope="module")
def troubled_server() -> Iterator[databases.Server]:
    """An etcd that is killed."""
    with obtained(databases.etcd) as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[databases.Server]]:
    """Three members."""
    with obtained(lambda: databases.etcd_cluster(3, is_current=True)) as members:
        yield members


def test_etcd_follower_hears_of_new_slots_with_entries_and_of_the_last_one_before(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 2) as (writer, reader):
            for slot in range(3):
                await writer.append(Slot(slot), b"x")
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(reader.follow(heard))
                await heard.of(2)
                for slot in (3, 4):
                    await writer.append(Slot(slot), b"%d" % slot)
                    await heard.of(slot)
                await writer.trim(Slot(2))
                following.cancel()
            assert heard.slots == [2, 3, 4]
            assert heard.entries == [None, b"3", b"4"]

    run_real(main())


def test_etcd_follower_hears_again_of_every_slot_after_the_server_was_killed(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with etcd_stores(f"etcd://{troubled_server.address}", 2) as (writer, reader):
            await writer.append(Slot(0), b"x")
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(reader.follow(heard))
                await heard.of(0)
                troubled_server.kill()
                troubled_server.start()
                for slot in (1, 2):
                    await answered(writer, slot)
                    await heard.of(slot)
                following.cancel()

    run_real(main())


def test_etcd_follower_that_comes_back_after_a_compaction_hears_of_the_last_slot(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 2) as (writer, reader):
            heard = Ear()
            follower = Follower(reader._client, reader._slots, heard)
            await writer.append(Slot(0), b"x")
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await heard.of(0)
                following.cancel()
            for slot in range(1, 6):
                await writer.append(Slot(slot), b"x")
            await compact(writer)
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await heard.of(5)
                await writer.append(Slot(6), b"6")
                await heard.of(6)
                following.cancel()
            assert heard.slots == [0, 5, 6]

    run_real(main())


@pytest.mark.parametrize("place", range(3))
def test_etcd_follower_whose_member_hangs_goes_with_the_calls_to_another(
    place: int, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with (
            etcd_stores(etcd_url(cluster), 1) as (writer,),
            etcd_stores(etcd_url(cluster), 1) as (reader,),
        ):
            reader._slots = writer._slots
            writer._client._members.move_to((place + 1) % 3)
            reader._client._members.move_to(place)
            await answered(writer, 0)
            heard = Ear()
            # Nothing but a call shows here that a member is silent.
            follower = Follower(reader._client, reader._slots, heard, check_s=3600)
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await heard.of(0)
                assert reader._client._members.current == place
                cluster[place].pause()
                try:
                    await reader.read_cell("any")
                    for slot in (1, 2):
                        await answered(writer, slot)
                        await heard.of(slot)
                finally:
                    cluster[place].resume()
                following.cancel()

    run_real(main())


def test_etcd_follower_whose_member_hangs_notices_by_itself(
    cluster: list[databases.Server],
) -> None:
    async def main() -> None:
        async with (
            etcd_stores(etcd_url(cluster), 1) as (writer,),
            etcd_stores(etcd_url(cluster), 1) as (reader,),
        ):
            reader._slots = writer._slots
            writer._client._members.move_to(1)
            await answered(writer, 0)
            heard = Ear()
            follower = Follower(reader._client, reader._slots, heard, check_s=0.1)
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await heard.of(0)
                cluster[0].pause()
                try:
                    for slot in (1, 2):
                        await answered(writer, slot)
                        await heard.of(slot)
                finally:
                    cluster[0].resume()
                following.cancel()

    run_real(main())


async def compact(store: EtcdOrderStore) -> None:
    """Have etcd forget all that is not current."""
    answer = await store._client.call(RANGE, range_request(b"x"))
    revision = Found.decode(answer).revision
    await store._client.call("/etcdserverpb.KV/Compact", _number(1, revision) + _number(2, 1))
