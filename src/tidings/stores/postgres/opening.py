"""Opens both stores of a journal in one database: looks at the server, and makes the tables."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import asyncpg

from tidings.errors import Unavailable
from tidings.stores.postgres.blobs import PostgresBlobStore
from tidings.stores.postgres.connections import Connections
from tidings.stores.postgres.order import PostgresOrderStore
from tidings.stores.postgres.schema import check_settings, migrate

ORDER_CONNECTIONS_MAX = 4
"""A publisher, who follows, and upkeep: nobody needs more at a time."""

BLOB_CONNECTIONS_MAX = 6

ORDER_TIMEOUT_S = 5.0
"""How long a call of the order store may take; a server that is busy takes half a second."""

BLOB_TIMEOUT_S = 15.0
"""How long a call of the blob store may take; there are blobs of 16 MiB and more."""

OPENING_TIMEOUT_S = 60.0
"""How long migrations may take, or the other start that carries them out."""

POOLER_PATIENCE_S = 1.0
"""How long a pooler may take to give a transaction another connection; it may have no more."""


@dataclass(frozen=True, slots=True)
class PostgresStores:
    """Both stores of one journal."""

    order: PostgresOrderStore
    blobs: PostgresBlobStore


@asynccontextmanager
async def open_postgres(
    url: str,
    rng: Random,
    journal: str = "journal",
    *,
    order_timeout_s: float = ORDER_TIMEOUT_S,
    blob_timeout_s: float = BLOB_TIMEOUT_S,
) -> AsyncIterator[PostgresStores]:
    """Open both stores of a journal; makes what is not there yet. `url` is libpq's.

    Raises:
        Unavailable: The server cannot be reached, or refuses.
        InvalidRequest: It is set up so that it would lose what it acknowledged.
        Corrupt: The tables are those of a later version.
    """
    pooling = await _prepare(url, rng, journal)
    order = Connections(
        url,
        rng,
        count_max=ORDER_CONNECTIONS_MAX,
        timeout_s=order_timeout_s,
        keeps_statements=pooling.keeps_statements,
    )
    blobs = Connections(
        url,
        rng,
        count_max=BLOB_CONNECTIONS_MAX,
        timeout_s=blob_timeout_s,
        keeps_statements=pooling.keeps_statements,
    )
    try:
        yield PostgresStores(
            PostgresOrderStore(order, journal, can_follow=not pooling.is_shared),
            PostgresBlobStore(blobs, journal),
        )
    finally:
        order.close()
        blobs.close()


@dataclass(frozen=True, slots=True)
class _Pooling:
    """What stands between this process and the server."""

    is_shared: bool
    """Whether a pooler gives each transaction another connection to the server."""
    keeps_statements: bool
    """Whether what was parsed once is known in the next transaction all the same."""


async def _prepare(url: str, rng: Random, journal: str) -> _Pooling:
    plain = Connections(url, rng, count_max=2, timeout_s=OPENING_TIMEOUT_S, keeps_statements=False)
    connection = (await plain.connect()).connection
    try:
        async with asyncio.timeout(OPENING_TIMEOUT_S):
            await check_settings(connection)
            await migrate(connection, journal)
            return await _look_for_pooler(url, rng, plain)
    except TimeoutError as error:
        raise Unavailable("PostgreSQL did not answer in time") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"PostgreSQL cannot be opened: {error}") from error
    finally:
        connection.terminate()


_PROCESS = "SELECT pg_backend_pid()"


async def _look_for_pooler(url: str, rng: Random, plain: Connections) -> _Pooling:
    """Have a second connection hold what may be the server connection of a first one."""
    keeping = Connections(url, rng, count_max=1, timeout_s=OPENING_TIMEOUT_S)
    first = await keeping.connect()
    second = await plain.connect()
    try:
        process = await first.fetch(_PROCESS)
        async with second.connection.transaction():
            if await second.fetch(_PROCESS) != process:
                return _Pooling(is_shared=False, keeps_statements=True)
            try:
                async with asyncio.timeout(POOLER_PATIENCE_S):
                    await first.fetch(_PROCESS)
            except (TimeoutError, asyncpg.InvalidSQLStatementNameError):
                return _Pooling(is_shared=True, keeps_statements=False)
            return _Pooling(is_shared=True, keeps_statements=True)
    finally:
        first.connection.terminate()
        second.connection.terminate()
