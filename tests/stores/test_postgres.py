"""The stores in PostgreSQL, on a real server."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import asyncpg
import databases
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import (
    PATIENT_S,
    Ear,
    postgres_blobs,
    postgres_order,
    postgres_stores,
    settled,
)
from trouble import TIMEOUT_S, TroubledBlobStore, TroubledOrderStore, in_trouble

from tidings.errors import Corrupt, Indeterminate, InvalidRequest, TidingsError, Unavailable
from tidings.ports import Appended, Occupied, Trimmed, Unsettled
from tidings.stores.postgres import open_postgres
from tidings.stores.postgres.connections import Connections, Session
from tidings.stores.postgres.order import READ_SLOTS_MAX, TRIM_STEP_SLOTS
from tidings.stores.postgres.schema import MIGRATIONS
from tidings.testing.contract import blob_store_checks, order_store_checks
from tidings.testing.contract.order_demands import fill
from tidings.types import Slot

pytestmark = pytest.mark.real

ORDER_CHECKS = order_store_checks()
BLOB_CHECKS = blob_store_checks()


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[databases.Server]:
    """A PostgreSQL that nobody troubles."""
    with obtained(databases.postgres) as server:
        yield server


@pytest.mark.parametrize("name", ORDER_CHECKS)
def test_postgres_order_store_keeps_the_contract(
    name: str, postgres_server: databases.Server
) -> None:
    run_real(ORDER_CHECKS[name](postgres_order(postgres_server.address)))


@pytest.mark.parametrize("name", BLOB_CHECKS)
def test_postgres_blob_store_keeps_the_contract(
    name: str, postgres_server: databases.Server
) -> None:
    run_real(BLOB_CHECKS[name](postgres_blobs(postgres_server.address)))


# Trouble ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def troubled_server() -> Iterator[databases.Server]:
    """A PostgreSQL that is killed and paused."""
    with obtained(databases.postgres) as server:
        yield server


@pytest.mark.parametrize("name", [name for name in ORDER_CHECKS if name.endswith("linearizable")])
def test_postgres_order_store_whose_server_is_killed_and_paused_keeps_the_contract(
    name: str, troubled_server: databases.Server
) -> None:
    make, faults = in_trouble(
        postgres_order(troubled_server.address, TIMEOUT_S), TroubledOrderStore, troubled_server
    )
    run_real(ORDER_CHECKS[name](make))
    assert faults


@pytest.mark.parametrize("name", [name for name in BLOB_CHECKS if name.endswith("linearizable")])
def test_postgres_blob_store_whose_server_is_killed_and_paused_keeps_the_contract(
    name: str, troubled_server: databases.Server
) -> None:
    make, faults = in_trouble(
        postgres_blobs(troubled_server.address, TIMEOUT_S), TroubledBlobStore, troubled_server
    )
    run_real(BLOB_CHECKS[name](make))
    assert faults


def test_postgres_that_hangs_leaves_calls_unsettled_and_carries_them_out_later(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with postgres_stores(troubled_server.address, 1, timeout_s=0.2) as (stores,):
            assert await stores.order.append(Slot(0), b"a") == Appended()
            troubled_server.pause()
            try:
                assert isinstance(await stores.order.append(Slot(1), b"b"), Unsettled)
                with pytest.raises(Unavailable):
                    await stores.order.read(Slot(0), 1)
                with pytest.raises(Unavailable):
                    await stores.blobs.get("x")
            finally:
                troubled_server.resume()
            outcome = await settled(stores.order, Slot(1), b"b")
            assert outcome in (Appended(), Occupied(b"b"))

    run_real(main())


def test_postgres_that_is_gone_refuses_definitely_and_is_found_again(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with postgres_stores(troubled_server.address, 1) as (stores,):
            assert await stores.order.append(Slot(0), b"a") == Appended()
            troubled_server.kill()
            # Its connections may have to be tried to be found broken.
            with pytest.raises(Unavailable):
                await settled(stores.order, Slot(1), b"b")
            with pytest.raises(Unavailable):
                await stores.order.swap_cell("x", None, b"1")
            with pytest.raises(Unavailable):
                await stores.blobs.put("x", b"1")
            troubled_server.start()
            assert await stores.order.read(Slot(0), 9) == [b"a"]
            assert await stores.order.append(Slot(1), b"b") == Appended()

    run_real(main())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.AdminShutdownError, Indeterminate),
        (asyncpg.CrashShutdownError, Indeterminate),
        (asyncpg.InternalServerError, Indeterminate),
        (asyncpg.StatementCompletionUnknownError, Indeterminate),
        (asyncpg.ConnectionDoesNotExistError, Indeterminate),
        (asyncpg.InterfaceError, Indeterminate),
        (ConnectionResetError, Indeterminate),
        (asyncpg.DiskFullError, Unavailable),
        (asyncpg.ReadOnlySQLTransactionError, Unavailable),
        (asyncpg.SerializationError, Unavailable),
        (asyncpg.QueryCanceledError, Unavailable),
    ],
)
def test_postgres_error_is_definite_only_where_nothing_was_done(
    error: type[Exception], expected: type[TidingsError], postgres_server: databases.Server
) -> None:
    async def fail(_session: Session) -> None:
        raise error("a reason")

    async def main() -> None:
        url = databases.postgres_url(postgres_server.address)
        connections = Connections(url, Random(1), count_max=1, timeout_s=PATIENT_S)
        with pytest.raises(expected):
            await connections.run(fail)
        assert await connections.run(lambda session: session.fetch("SELECT 1"))
        connections.close()

    run_real(main())


# What is of PostgreSQL alone ----------------------------------------------------------------------


def test_postgres_trim_of_many_slots_deletes_their_rows(postgres_server: databases.Server) -> None:
    async def main() -> None:
        end = TRIM_STEP_SLOTS + 5
        async with postgres_stores(postgres_server.address, 1) as (stores,):
            for slot in range(end):
                assert await stores.order.append(Slot(slot), b"x") == Appended()
            await stores.order.trim(Slot(end - 1))
            assert await stores.order.read(Slot(end - 2), 9) == Trimmed()
            assert await stores.order.read(Slot(end - 1), 9) == [b"x"]
            journal = stores.order._journal
            assert await ask(
                postgres_server, "SELECT count(*) FROM tidings.slot WHERE journal = $1", journal
            ) == [1]

    run_real(main())


def test_postgres_read_of_more_slots_than_one_statement_takes_is_whole(
    postgres_server: databases.Server,
) -> None:
    async def main() -> None:
        entries = [b"%d" % slot for slot in range(2 * READ_SLOTS_MAX + 3)]
        async with postgres_stores(postgres_server.address, 1) as (stores,):
            for slot, entry in enumerate(entries):
                await stores.order.append(Slot(slot), entry)
            assert await stores.order.read(Slot(0), 1000) == entries

    run_real(main())


def test_postgres_slot_that_was_lost_is_noticed(postgres_server: databases.Server) -> None:
    async def main() -> None:
        async with postgres_stores(postgres_server.address, 1) as (stores,):
            for slot in range(3):
                await stores.order.append(Slot(slot), b"x")
            await ask(
                postgres_server,
                "DELETE FROM tidings.slot WHERE journal = $1 AND slot = 1 RETURNING 1",
                stores.order._journal,
            )
            with pytest.raises(Corrupt):
                await stores.order.read(Slot(0), 9)
            with pytest.raises(Corrupt):
                await stores.order.append(Slot(1), b"y")

    run_real(main())


def test_postgres_that_lost_the_newest_slots_takes_no_more(
    postgres_server: databases.Server,
) -> None:
    async def main() -> None:
        async with postgres_stores(postgres_server.address, 1) as (stores,):
            await fill(stores.order, b"a", b"b")
            with pytest.raises(Corrupt, match="backup"):
                await stores.order.append(Slot(3), b"d")
            assert await stores.order.read(Slot(0), 9) == [b"a", b"b"]

    run_real(main())


def test_postgres_blob_that_was_changed_is_noticed(postgres_server: databases.Server) -> None:
    async def main() -> None:
        async with postgres_stores(postgres_server.address, 1) as (stores,):
            await stores.blobs.put("x", b"data")
            await ask(
                postgres_server,
                "UPDATE tidings.blob SET data = 'dada' WHERE journal = $1 RETURNING 1",
                stores.order._journal,
            )
            with pytest.raises(Corrupt):
                await stores.blobs.get("x")

    run_real(main())


def test_postgres_follower_hears_of_new_slots_and_of_the_last_one_before(
    postgres_server: databases.Server,
) -> None:
    async def main() -> None:
        async with postgres_stores(postgres_server.address, 2) as (writer, reader):
            for slot in range(3):
                await writer.order.append(Slot(slot), b"x")
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(reader.order.follow(heard))
                await heard.of(2)
                await writer.order.append(Slot(3), b"x")
                await heard.of(3)
                assert sorted({*heard.slots}) == [2, 3]
                following.cancel()

    run_real(main())


def test_postgres_follower_hears_again_after_the_server_was_killed(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        async with postgres_stores(troubled_server.address, 2) as (writer, reader):
            await writer.order.append(Slot(0), b"x")
            heard = Ear()
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(reader.order.follow(heard))
                await heard.of(0)
                troubled_server.kill()
                troubled_server.start()
                await settled(writer.order, Slot(1), b"x")
                await heard.of(1)
                following.cancel()

    run_real(main())


# Through a pooler ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pooler(postgres_server: databases.Server) -> Iterator[databases.Server]:
    """A PgBouncer that gives each transaction another connection."""
    with obtained(lambda: databases.pgbouncer(postgres_server.address)) as server:
        yield server


@pytest.mark.parametrize("name", [name for name in ORDER_CHECKS if name.endswith("linearizable")])
def test_postgres_order_store_through_a_pooler_keeps_the_contract(
    name: str, pooler: databases.Server
) -> None:
    run_real(ORDER_CHECKS[name](postgres_order(pooler.address)))


@pytest.mark.parametrize("name", [name for name in BLOB_CHECKS if name.endswith("linearizable")])
def test_postgres_blob_store_through_a_pooler_keeps_the_contract(
    name: str, pooler: databases.Server
) -> None:
    run_real(BLOB_CHECKS[name](postgres_blobs(pooler.address)))


def test_postgres_follower_through_a_pooler_returns_at_once(pooler: databases.Server) -> None:
    async def main() -> None:
        async with postgres_stores(pooler.address, 1) as (stores,):
            await stores.order.follow(Ear())

    run_real(main())


def test_postgres_through_a_pooler_with_one_connection_is_opened(
    postgres_server: databases.Server,
) -> None:
    async def main(address: str) -> None:
        async with postgres_stores(address, 1) as (stores,):
            assert await stores.order.append(Slot(0), b"a") == Appended()

    with obtained(lambda: databases.pgbouncer(postgres_server.address, size=1)) as server:
        run_real(main(server.address))


# Opening ------------------------------------------------------------------------------------------


def test_postgres_opened_by_many_at_once_makes_its_tables_once() -> None:
    async def main(address: str) -> None:
        url = databases.postgres_url(address)

        async def open_once(number: int) -> None:
            async with open_postgres(url, Random(number)) as stores:
                await stores.order.read(Slot(0), 1)

        async with asyncio.TaskGroup() as tasks:
            for number in range(8):
                tasks.create_task(open_once(number))

    with obtained(databases.postgres) as server:
        run_real(main(server.address))


def test_postgres_with_tables_of_a_later_version_is_refused() -> None:
    async def main(server: databases.Server) -> None:
        async with postgres_stores(server.address, 1):
            pass
        version = len(MIGRATIONS) + 1
        await ask(server, "INSERT INTO tidings.layout VALUES ($1) RETURNING 1", version)
        with pytest.raises(Corrupt, match="use a newer Tidings"):
            async with postgres_stores(server.address, 1):
                pass

    with obtained(databases.postgres) as server:
        run_real(main(server))


@pytest.mark.parametrize(
    "setting",
    ["fsync=off", "synchronous_commit=off", "default_transaction_isolation=serializable"],
)
def test_postgres_that_would_lose_what_it_acknowledged_is_refused(setting: str) -> None:
    async def main(address: str) -> None:
        with pytest.raises(InvalidRequest, match=setting.partition("=")[0]):
            async with postgres_stores(address, 1):
                pass

    with obtained(lambda: databases.postgres(setting)) as server:
        run_real(main(server.address))


@pytest.mark.parametrize("wrong", ["etcd://a", "postgres://a:b:c", "postgres://a/b?sslmode=maybe"])
def test_postgres_url_that_is_none_is_refused(wrong: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidRequest):
            async with open_postgres(wrong, Random(1)):
                pass

    run_real(main())


def test_postgres_role_that_may_not_make_tables_is_told(postgres_server: databases.Server) -> None:
    async def main() -> None:
        await ask(postgres_server, "CREATE ROLE nobody LOGIN")
        await ask(postgres_server, "CREATE DATABASE theirs")
        url = databases.postgres_url(postgres_server.address).replace("tidings@", "nobody@")
        with pytest.raises(Unavailable, match="grant it CREATE"):
            async with open_postgres(url.replace("/postgres", "/theirs"), Random(1)):
                pass

    run_real(main())


async def ask(server: databases.Server, query: str, *arguments: object) -> list[Any]:
    """Ask the server directly; return the first column."""
    connection = await asyncpg.connect(databases.postgres_url(server.address))
    try:
        return [row[0] for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()
