"""The order store in etcd, on real servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import databases
import grpc
import grpc.aio
import pytest
from fetched import program
from real_loop import run_real
from remote_stores import PATIENT_S, Ear, etcd_order, etcd_stores, obtained
from trouble import TIMEOUT_S, TroubledOrderStore, in_trouble

from tidings.errors import Corrupt, InvalidRequest, TidingsError, Unavailable
from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.etcd import EtcdAddress, EtcdOrderStore, open_etcd
from tidings.stores.etcd.client import EtcdClient
from tidings.stores.etcd.following import Follower, slot_of
from tidings.stores.etcd.messages import (
    DELETE_RANGE,
    RANGE,
    Found,
    _bytes,
    _number,
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


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of an etcd that nobody troubles."""
    with obtained(databases.etcd) as server:
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


async def settled(store: OrderStore, slot: Slot, entry: bytes) -> AppendOutcome:
    """Repeat an append until its outcome is known."""
    while isinstance(outcome := await store.append(slot, entry), Unsettled):
        pass
    return outcome


async def read(store: OrderStore) -> list[bytes] | Trimmed:
    """Read all slots, as soon as the store answers."""
    while True:
        try:
            return await store.read(Slot(0), 100)
        except Unavailable:
            # gRPC connects again when it finds it fit.
            await asyncio.sleep(0.01)


# Several members ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[databases.Server]]:
    """Three members."""
    with obtained(lambda: databases.etcd_cluster(3)) as members:
        yield members


def url_of(members: list[databases.Server]) -> str:
    return "etcd://" + ",".join(member.address for member in members)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_etcd_cluster_that_loses_one_member_after_the_other_goes_on(
    fault: str, cluster: list[databases.Server]
) -> None:
    async def main() -> None:
        async with etcd_stores(url_of(cluster), 1, timeout_s=2.0) as (store,):
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


async def answered(store: OrderStore, slot: int) -> AppendOutcome:
    """Repeat an append until its outcome is known, whatever is away meanwhile."""
    while True:
        try:
            return await settled(store, Slot(slot), b"%d" % slot)
        except Unavailable:
            await asyncio.sleep(0.01)


def test_etcd_call_with_no_connection_to_one_member_goes_to_another(
    cluster: list[databases.Server],
) -> None:
    async def main() -> None:
        nobody = "127.0.0.1:1"
        url = url_of(cluster).replace("etcd://", f"etcd://{nobody},")
        async with etcd_stores(url, 1) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()

    run_real(main())


# Following ----------------------------------------------------------------------------------------


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


def test_etcd_follower_whose_member_hangs_follows_another(cluster: list[databases.Server]) -> None:
    async def main() -> None:
        async with (
            etcd_stores(url_of(cluster), 1, timeout_s=2.0) as (writer,),
            etcd_stores(url_of(cluster), 1, timeout_s=2.0) as (reader,),
        ):
            reader._slots = writer._slots
            await answered(writer, 0)
            heard = Ear()
            follower = Follower(reader._client, reader._slots, heard, check_s=0.1)
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(follower.run())
                await heard.of(0)
                hanging = cluster[reader._client._preferred]
                hanging.pause()
                try:
                    for slot in (1, 2):
                        await answered(writer, slot)
                        await heard.of(slot)
                finally:
                    hanging.resume()
                following.cancel()

    run_real(main())


async def compact(store: EtcdOrderStore) -> None:
    """Have etcd forget all that is not current."""
    answer = await store._client.call(RANGE, range_request(b"x"))
    revision = Found.decode(answer).revision
    await store._client.call("/etcdserverpb.KV/Compact", _number(1, revision) + _number(2, 1))


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
            entries = [bytes([number]) * 1024 * 1024 for number in range(9)]
            with pytest.raises(Unavailable, match="defragment"):
                await fill(store, *entries)
            found = await store.read(Slot(0), 9)
            assert isinstance(found, list)
            assert found == entries[: len(found)]
            assert len(found) in range(1, 9)

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


# Who may ------------------------------------------------------------------------------------------


def test_etcd_with_users_lets_in_who_has_the_password_also_after_a_restart() -> None:
    async def main(server: databases.Server) -> None:
        async with etcd_stores(f"etcd://{server.address}", 1) as (store,):
            await demand_passwords(store._client)
        url = f"etcd://root:s%40cret@{server.address}"
        async with etcd_stores(url, 2) as (store, other):
            assert await store.append(Slot(0), b"a") == Appended()
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(other.follow(heard))
                await heard.of(0)
                following.cancel()
            # It has forgotten its tokens.
            server.kill()
            server.start()
            assert await read(store) == [b"a"]
            assert await settled(store, Slot(1), b"b") == Appended()
        for wrong in ("etcd://", "etcd://root:guess@"):
            with pytest.raises(Unavailable):
                async with etcd_stores(f"{wrong}{server.address}", 1):
                    pass

    with obtained(databases.etcd) as server:
        run_real(main(server))


async def demand_passwords(client: EtcdClient) -> None:
    for method, request in [
        ("UserAdd", _bytes(1, b"root") + _bytes(2, b"s@cret")),
        ("RoleAdd", _bytes(1, b"root")),
        ("UserGrantRole", _bytes(1, b"root") + _bytes(2, b"root")),
        ("AuthEnable", b""),
    ]:
        await client.call(f"/etcdserverpb.Auth/{method}", request)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert` and `key`, of and for 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("certificates")
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=tidings", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_etcd_with_tls_on_both_sides_lets_in_who_has_a_certificate(certificates: Path) -> None:
    cert, key = certificates / "cert", certificates / "key"

    async def main(address: str) -> None:
        shown = f"ca={cert}&cert={cert}&key={key}"
        async with etcd_stores(f"etcds://{address}?{shown}", 1) as (store,):
            assert await store.append(Slot(0), b"a") == Appended()
        for wrong in (f"etcds://{address}", f"etcds://{address}?ca={cert}", f"etcd://{address}"):
            with pytest.raises(Unavailable):
                async with etcd_stores(wrong, 1, timeout_s=2.0):
                    pass

    options = [f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={cert}"]
    options.append("--client-cert-auth")
    with obtained(lambda: databases.etcd(*options, scheme="https")) as server:
        run_real(main(server.address))


def test_etcd_address_has_members_prefix_and_credentials() -> None:
    assert EtcdAddress.parse("etcd://a,b:1,[::1]:2,[::1]") == EtcdAddress(
        ("a:2379", "b:1", "[::1]:2", "[::1]:2379"), "tidings"
    )
    found = EtcdAddress.parse("etcd://me:p%2Fw@a:1/some/where/")
    assert (found.prefix, found.user, found.password) == ("some/where", "me", "p/w")
    assert "p/w" not in repr(found)


@pytest.mark.parametrize(
    "wrong",
    [
        "http://a",
        "etcd://",
        "etcd://a,,b",
        "etcd://a:b",
        "etcd://a?ca=x",
        "etcds://a?cas=x",
        "etcds://a?ca=/nowhere",
        "etcds://a?cert=/dev/null",
    ],
)
def test_etcd_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        EtcdAddress.parse(wrong)
