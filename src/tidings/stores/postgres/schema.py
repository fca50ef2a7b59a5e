"""The tables, and how they come to be what this version knows.

    tidings.layout   (version)                  the number of migrations that were carried out
    tidings.journal  (name, end_slot, below)    one row for each journal: its first empty slot, and
                                                its trim boundary
    tidings.slot     (journal, slot, entry)     what fills each slot
    tidings.cell     (journal, name, value)
    tidings.blob     (journal, name, data, crc) crc over the data

Migrations are only ever added at the end. Each start carries out those that are missing, in one
transaction under a lock, so that of several starts at once one does it.
"""

from typing import Any, TypeAlias

import asyncpg

from tidings.errors import Corrupt, InvalidRequest, Unavailable

Connection: TypeAlias = "asyncpg.Connection[Any]"

MIGRATIONS = (
    """
    CREATE TABLE tidings.journal (
      name text COLLATE "C" PRIMARY KEY,
      end_slot bigint NOT NULL,
      below bigint NOT NULL,
      CHECK (0 <= below AND below <= end_slot)
    ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 10000);

    CREATE TABLE tidings.slot (
      journal text COLLATE "C" NOT NULL,
      slot bigint NOT NULL,
      entry bytea NOT NULL,
      PRIMARY KEY (journal, slot)
    );
    ALTER TABLE tidings.slot ALTER entry SET STORAGE EXTERNAL;

    CREATE TABLE tidings.cell (
      journal text COLLATE "C" NOT NULL,
      name text COLLATE "C" NOT NULL,
      value bytea NOT NULL,
      PRIMARY KEY (journal, name)
    );

    CREATE TABLE tidings.blob (
      journal text COLLATE "C" NOT NULL,
      name text COLLATE "C" NOT NULL,
      data bytea NOT NULL,
      crc bigint NOT NULL,
      PRIMARY KEY (journal, name)
    );
    ALTER TABLE tidings.blob ALTER data SET STORAGE EXTERNAL;
    """,
)
"""Most pages of `journal` stay empty, so that each append changes its row in place. Bytes are not
compressed: clients did that, or chose not to; and a part of them can be read by itself."""

MIGRATION_LOCK = 0x5449_4449_4E47_53
"""The advisory lock, the same in every version, under which tables are made."""

_SETTINGS = ("fsync", "synchronous_commit", "default_transaction_isolation")


async def check_settings(connection: Connection) -> None:
    """Refuse a server that would lose what it acknowledged, or see it too late.

    Raises:
        InvalidRequest: It has such a setting; the text says which, and what to do.
    """
    found = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
    for name in ("fsync", "synchronous_commit"):
        if found[name] == "off":
            raise InvalidRequest(
                f"PostgreSQL runs with {name} = off, which loses what was acknowledged: turn it on"
            )
    isolation = found["default_transaction_isolation"]
    if isolation != "read committed":
        raise InvalidRequest(
            f"this role or database begins transactions as {isolation}; an append needs"
            " ALTER ROLE … SET default_transaction_isolation = 'read committed'"
        )


async def migrate(connection: Connection, journal: str) -> None:
    """Make the tables what this version knows, and the row of a journal.

    Raises:
        Corrupt: They are those of a later version.
        Unavailable: They are not there, and may not be made.
    """
    try:
        if await _version(connection) != len(MIGRATIONS):
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                await _carry_out_missing(connection)
        await connection.execute(
            "INSERT INTO tidings.journal VALUES ($1, 0, 0) ON CONFLICT DO NOTHING", journal
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unavailable(
            f"PostgreSQL does not let this role make its tables ({error}): grant it CREATE on the"
            " database, or open the store once as a role that has it"
        ) from error


async def _version(connection: Connection) -> int:
    """Return how many migrations were carried out.

    Raises:
        Corrupt: More than this version knows.
    """
    if await connection.fetchval("SELECT to_regclass('tidings.layout')") is None:
        return 0
    version: int = await connection.fetchval("SELECT coalesce(max(version), 0) FROM tidings.layout")
    if version > len(MIGRATIONS):
        raise Corrupt(
            f"the database has layout {version}; this version knows {len(MIGRATIONS)}:"
            " use a newer Tidings"
        )
    return version


async def _carry_out_missing(connection: Connection) -> None:
    await connection.execute("CREATE SCHEMA IF NOT EXISTS tidings")
    await connection.execute("CREATE TABLE IF NOT EXISTS tidings.layout (version int NOT NULL)")
    for number in range(await _version(connection), len(MIGRATIONS)):
        await connection.execute(MIGRATIONS[number])
        await connection.execute("INSERT INTO tidings.layout VALUES ($1)", number + 1)
