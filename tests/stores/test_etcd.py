"""The order store in etcd, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import databases
import grpc
import grpc.aio
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import (
    PATIENT_S,
    answered,
    etcd_order,
    etcd_stores,
    etcd_url,
    read,
    settled,
)
from trouble import TIMEOUT_S, TroubledOrderStore, in_trouble

from tidings.errors import Corrupt, InvalidRequest, TidingsError, Unavailable
from tidings.ports import Appended, Occupied, Trimmed, Unsettled
from tidings.stores.etcd import EtcdAddress, EtcdOrderStore, open_etcd
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.following import slot_of
from tidings.stores.etcd.messages import (
    DELETE_RANGE,
    RANGE,
    Found,
    delete_range_request,
    range_request,
)
from tidings.stores.etcd.order import READ_SLOTS_MAX, TRIM_STEP_SLOTS
from tidings.testing.contract import order_store_checks
from tidings.testing.contract.order_demands import fill
from tidings.types import Slot

pytestmark = pytest.mark.real

CHECKS = order_store_checks()
RACES = [name for name in CHECKS if name.endswith("linearizable")]


@pytest.fixture(scope="module", params=["installed", "current"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an etcd that nobody troubles, of an old version and of a new one."""
    is_current = request.param == "current"
    with obtained(lambda: databases.etcd(is_current=is_current)) as server:
        yield f"etcd://{server.address}"


@pytest.mark.parametrize("name", CHECKS)
def test_etcd_order_store_keeps_the_contract(name: str, url: str) -> None:
    run_real(CHECKS[name](etcd_order(url)))


# Trouble ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def troubled_server() -> Iterator[databases.Server]:
    """An etcd that is killed and paused."""
    with obtained(databases.etcd) as server:
        yield server


@pytest.mark.parametrize("name", RACES)
def test_etcd_order_store_whose_server_is_killed_and_paused_keeps_the_contract(
    name: str, troubled_server: databases.Server
) -> None:
    make, faults = in_trouble(
        etcd_order(f"etcd://{troubled_server.address}", TIMEOUT_S),
        TroubledOrderStore,
        troubled_server,
    )
    run_real(CHECKS[name](make))
    assert faults


def test_etcd_that_hangs_leaves_calls_unsettled_and_carries_them_out_later(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with etcd_stores(f"etcd://{troubled_server.address}", 1, timeout_s=0.5) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()
            troubled_server.pause()
            try:
                assert isinstance(await store.append(Slot(1), b"b"), Unsettled)
                with pytest.raises(Unavailable):
                    await store.read(Slot(0), 1)
            finally:
                troubled_server.resume()
            assert await settled(store, Slot(1), b"b") in (Appended(), Occupied(b"b"))

    run_real(main())


def test_etcd_that_is_gone_refuses_definitely_and_is_found_again(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with etcd_stores(f"etcd://{troubled_server.address}", 1) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()
            troubled_server.kill()
            with pytest.raises(Unavailable):
                await settled(store, Slot(1), b"b")
            troubled_server.start()
            assert await read(store) == [b"a"]
            assert await settled(store, Slot(1), b"b") == Appended()

    run_real(main())


# Several members ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[databases.Server]]:
    """Three members."""
    with obtained(lambda: databases.etcd_cluster(3)) as members:
        yield members


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_etcd_cluster_that_loses_one_member_after_the_other_goes_on(
    fault: str, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with etcd_stores(etcd_url(cluster), 1, timeout_s=2.0) as (store,):
            slot = 0
            for member in cluster:
                if fault == "kill":
                    member.kill()
                else:
                    member.pause()
                for _ in range(5):
                    entry = b"%d" % slot
                    assert await answered(store, slot) in (Appended(), Occupied(entry))
                    slot += 1
                if fault == "kill":
                    member.begin_start()
                    member.await_ready()
                else:
                    member.resume()
            assert await read(store) == [b"%d" % number for number in range(slot)]

    run_real(main())


def test_etcd_call_with_no_connection_to_one_member_goes_to_another(
    cluster: list[databases.Server],
) -> None:
    async def main() -> None:
        nobody = "127.0.0.1:1"
        url = etcd_url(cluster).replace("etcd://", f"etcd://{nobody},")
        async with etcd_stores(url, 1) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()

    run_real(main())


# What is of etcd alone ----------------------------------------------------------------------------


def test_etcd_trim_of_many_slots_deletes_their_keys(url: str) -> None:
    async def main() -> None:
        end = TRIM_STEP_SLOTS + 5
        async with etcd_stores(url, 1) as (store,):
            for slot in range(end):
                assert await store.append(Slot(slot), b"x") == Appended()
            await store.trim(Slot(end - 1))
            assert await store.read(Slot(end - 2), 9) == Trimmed()
            assert await store.read(Slot(end - 1), 9) == [b"x"]
            every = range_request(store._slots.encode(), store._slots.encode() + b":")
            found = Found.decode(await store._client.call(RANGE, every))
            assert [slot_of(pair) for pair in found.pairs] == [end - 1]

    run_real(main())


def test_etcd_read_of_more_slots_than_one_request_takes_is_whole(url: str) -> None:
    async def main() -> None:
        entries = [b"%d" % slot for slot in range(2 * READ_SLOTS_MAX + 3)]
        async with etcd_stores(url, 1) as (store,):
            for slot, entry in enumerate(entries):
                await store.append(Slot(slot), entry)
            assert await store.read(Slot(0), 1000) == entries

    run_real(main())


def test_etcd_slot_that_was_lost_is_noticed(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 1) as (store,):
            for slot in range(3):
                await store.append(Slot(slot), b"x")
            gone = delete_range_request(store._slot_key(1), store._slot_key(2))
            await store._client.call(DELETE_RANGE, gone)
            with pytest.raises(Corrupt, match="slot 1 is missing"):
                await store.read(Slot(0), 9)

    run_real(main())


def test_etcd_slot_right_at_the_boundary_is_filled(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 1) as (store,):
            await fill(store, b"a", b"b")
            await store.trim(Slot(2))
            assert await store.append(Slot(2), b"c") == Appended()
            assert await store.append(Slot(2), b"d") == Occupied(b"c")
            assert await store.append(Slot(3), b"d") == Appended()

    run_real(main())


def test_etcd_that_lost_the_newest_slots_takes_no_more(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 1) as (store,):
            await fill(store, b"a", b"b")
            with pytest.raises(Corrupt, match="backup"):
                await store.append(Slot(3), b"d")
            assert await store.read(Slot(0), 9) == [b"a", b"b"]

    run_real(main())


def test_etcd_boundary_that_was_lost_is_noticed(url: str) -> None:
    async def main() -> None:
        async with etcd_stores(url, 1) as (store,):
            await store.append(Slot(0), b"x")
            gone = delete_range_request(store._boundary, store._boundary + b"\0")
            await store._client.call(DELETE_RANGE, gone)
            with pytest.raises(Corrupt, match="boundary"):
                await store.append(Slot(1), b"x")
            with pytest.raises(Corrupt, match="boundary"):
                await store.read(Slot(0), 9)

    run_real(main())


def test_etcd_that_is_full_refuses_definitely_and_can_be_read() -> None:
    async def main(url: str) -> None:
        async with etcd_stores(url, 1) as (store,):
            entry = bytes(1024 * 1024)
            # etcd looks at its size now and then.
            with pytest.raises(Unavailable, match="defragment"):
                await fill(store, *[entry] * 200)
            assert await store.read(Slot(0), 3) == [entry] * 3

    with obtained(lambda: databases.etcd("--quota-backend-bytes=4000000")) as server:
        run_real(main(f"etcd://{server.address}"))


def test_etcd_that_takes_only_smaller_requests_says_so() -> None:
    async def main(url: str) -> None:
        async with etcd_stores(url, 1) as (store,):
            with pytest.raises(InvalidRequest, match="max-request-bytes"):
                await store.append(Slot(0), bytes(1024 * 1024))
            assert await store.append(Slot(0), b"small") == Appended()

    with obtained(lambda: databases.etcd("--max-request-bytes=50000")) as server:
        run_real(main(f"etcd://{server.address}"))


def test_etcd_that_never_answers_is_given_up() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await ended.wait()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable):
                async with open_etcd(f"etcd://127.0.0.1:{port}", timeout_s=0.2):
                    pass
            ended.set()

    run_real(main())


Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (Code.UNAVAILABLE, "etcdserver: request timed out", Unsettled),
        (Code.UNAVAILABLE, "etcdserver: leader changed", Unsettled),
        (Code.UNAVAILABLE, "etcdserver: no leader", Unsettled),
        (Code.DEADLINE_EXCEEDED, "context deadline exceeded", Unsettled),
        (Code.CANCELLED, "", Unsettled),
        (Code.UNKNOWN, "raft: stopped", Unsettled),
        (Code.INTERNAL, "", Unsettled),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Unavailable),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Unavailable),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", Unavailable),
        (Code.DATA_LOSS, "etcdserver: corrupt cluster", Unavailable),
        (Code.INVALID_ARGUMENT, "etcdserver: request is too large", InvalidRequest),
    ],
)
def test_etcd_error_is_definite_only_where_nothing_was_done(
    code: grpc.StatusCode, text: str, expected: type
) -> None:
    async def main() -> None:
        async with failing_etcd(code, text) as port:
            client = EtcdClient(EtcdAddress((f"127.0.0.1:{port}",)), timeout_s=PATIENT_S)
            try:
                outcome: object = await EtcdOrderStore(client, "x").append(Slot(0), b"a")
            except TidingsError as error:
                outcome = error
            assert isinstance(outcome, expected)
            await client.close()

    run_real(main())


@asynccontextmanager
async def failing_etcd(code: grpc.StatusCode, text: str) -> AsyncIterator[int]:
    """Run a server that answers every call with one error; yield its port."""

    async def fail(_request: bytes, context: Any) -> bytes:
        await context.abort(code, text)
        return b""

    class Failing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc declares no types
        def service(self, _call: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(fail)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Failing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
