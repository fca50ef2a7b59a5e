"""Members of etcd that are gone or hang: whom a call asks, and what it says in the end.

Deadlines are long here, so that a call which waits for a member until its end fails the test.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import databases
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import PATIENT_S, etcd_url, new_journal, settled

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import Appended, Occupied, Unsettled
from tidings.stores.etcd import EtcdAddress, EtcdOrderStore
from tidings.stores.etcd.client import ROUNDS, EtcdClient
from tidings.types import Slot

pytestmark = pytest.mark.real


class WatchedClient(EtcdClient):
    """A client that notes what it sends to whom."""

    def __init__(self, address: EtcdAddress, *, timeout_s: float = PATIENT_S) -> None:
        super().__init__(address, timeout_s=timeout_s)
        self.asked: list[int] = []

    async def _send_once(self, place: int, method: str, request: bytes) -> bytes:
        self.asked.append(place)
        return await super()._send_once(place, method, request)

    def taken(self) -> list[int]:
        """Return who was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[databases.Server]]:
    """Three members."""
    with obtained(lambda: databases.etcd_cluster(3, is_current=True)) as members:
        yield members


@asynccontextmanager
async def opened(
    cluster: Sequence[databases.Server], *, first: int = 0, timeout_s: float = PATIENT_S
) -> AsyncIterator[tuple[EtcdOrderStore, WatchedClient]]:
    """Open a store on a journal with one slot, at the member of that place."""
    client = WatchedClient(EtcdAddress.parse(etcd_url(cluster)), timeout_s=timeout_s)
    store = EtcdOrderStore(client, new_journal())
    try:
        await store.prepare()
        assert await settled(store, Slot(0), b"a") == Appended()
        client._members.move_to(first)
        await store.read_cell("any")
        assert client.taken()[-1] == first
        yield store, client
    finally:
        await client.close()


@pytest.mark.parametrize("place", range(3))
def test_etcd_member_that_was_killed_is_not_asked(
    place: int, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with opened(cluster, first=place) as (store, client):
            cluster[place].kill()
            try:
                await read_cell_once_there_is_a_leader(store)
                assert client._members.current != place
                client.taken()
                assert await settled(store, Slot(1), b"b") in (Appended(), Occupied(b"b"))
                assert await store.read(Slot(0), 9) == [b"a", b"b"]
                assert place not in client.taken()
            finally:
                cluster[place].begin_start()
                cluster[place].await_ready()

    run_real(main())


async def read_cell_once_there_is_a_leader(store: EtcdOrderStore) -> None:
    while True:
        try:
            await store.read_cell("any")
        except Unavailable:
            continue
        return


@pytest.mark.parametrize("place", range(3))
def test_etcd_member_that_hangs_is_asked_once_and_then_avoided(
    place: int, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with opened(cluster, first=place) as (store, client):
            cluster[place].pause()
            try:
                assert await store.read(Slot(0), 9) == [b"a"]
                asked = client.taken()
                assert asked[0] == place
                assert asked[1] != place
                assert client._members.current != place
                assert await settled(store, Slot(1), b"b") in (Appended(), Occupied(b"b"))
                assert client.taken()[0] != place
            finally:
                cluster[place].resume()

    run_real(main())


@pytest.mark.parametrize("place", range(3))
def test_etcd_append_to_a_member_that_hangs_is_unsettled_and_sent_once(
    place: int, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with opened(cluster, first=place) as (store, client):
            cluster[place].pause()
            try:
                assert isinstance(await store.append(Slot(1), b"b"), Unsettled)
                assert client.taken() == [place]
                client._members.note_answer(place, 0)
                client._members.move_to(place)
                with pytest.raises(Indeterminate):
                    await store.swap_cell("any", None, b"x")
                assert client.taken() == [place]
                assert await settled(store, Slot(1), b"b") in (Appended(), Occupied(b"b"))
                assert client.taken()[0] != place
            finally:
                cluster[place].resume()
            # What the member had not read yet comes now, and changes nothing.
            assert await store.append(Slot(1), b"c") == Occupied(b"b")
            assert await store.append(Slot(2), b"d") == Appended()
            assert await store.read(Slot(0), 9) == [b"a", b"b", b"d"]

    run_real(main())


def test_etcd_with_one_member_killed_and_one_hanging_says_what_it_knows(
    cluster: list[databases.Server],
) -> None:
    async def main() -> None:
        async with opened(cluster, first=1, timeout_s=2.0) as (store, client):
            cluster[0].kill()
            cluster[1].pause()
            try:
                # Nobody can say: the third one is alone.
                with pytest.raises(Unavailable):
                    await store.read(Slot(0), 9)
                asked = client.taken()
                assert asked[:2] == [1, 2]
                assert set(asked) == {1, 2}
                assert len(asked) <= ROUNDS * len(cluster)
                outcome = await store.append(Slot(1), b"b")
                assert isinstance(outcome, Unsettled)
                assert len(client.taken()) == 1
            finally:
                cluster[1].resume()
                cluster[0].begin_start()
                cluster[0].await_ready()
            await read_cell_once_there_is_a_leader(store)
            assert await settled(store, Slot(1), b"b") in (Appended(), Occupied(b"b"))
            assert await store.read(Slot(0), 9) == [b"a", b"b"]

    run_real(main())


def test_etcd_member_that_lets_nobody_in_is_left_for_another_in_the_same_call(
    cluster: list[databases.Server],
) -> None:
    async def main() -> None:
        cluster[0].pause()
        try:
            # It takes connections, and says nothing: so nothing was sent.
            client = WatchedClient(EtcdAddress.parse(etcd_url(cluster)))
            store = EtcdOrderStore(client, new_journal())
            await store.prepare()
            assert await settled(store, Slot(0), b"a") in (Appended(), Occupied(b"a"))
            assert 0 not in client.taken()
            await client.close()
        finally:
            cluster[0].resume()

    run_real(main())
