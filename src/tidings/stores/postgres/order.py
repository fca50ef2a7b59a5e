"""The order store in PostgreSQL: any number of nodes, one row that all of them compare and swap.

    O1  A slot is filled in the statement that moves its journal's `end_slot` past it. Whoever comes
        second to that row waits for the first and then finds it moved, so a slot is filled once and
        never after it was trimmed, whatever either of them saw when it began.
    O2  The boundary moves BEFORE the rows below it are deleted, in another transaction. Rows below
        it are no slots any more; a crash leaves some, and the next trim deletes them.

Each call is one statement, one round trip, and one transaction of the level `read committed`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

import asyncpg

from tidings.errors import Corrupt, Indeterminate, InvalidRequest, Unavailable
from tidings.ports import Appended, AppendOutcome, Occupied, OrderStore, Trimmed, Unsettled
from tidings.stores.postgres.connections import Call, Connections, Session, told
from tidings.types import Slot

log = logging.getLogger(__name__)

T = TypeVar("T")

ENTRY_BYTES_MAX = 1024 * 1024
"""As large as a message between nodes allows."""

INLINE_BYTES_MAX = 64 * 1024
"""Larger batches would be written twice by the next checkpoint, once into the log of the server."""

READ_SLOTS_MAX = 64
"""Slots read with one statement, so that an answer has some 64 MiB at most."""

TRIM_STEP_SLOTS = 256
"""Rows that one transaction deletes."""

CHANNEL = "tidings"
"""Where every append is notified, as `<slot> <journal>`."""

CHECK_S = 5.0
"""How often who follows makes sure that the server is still there."""

PAUSE_S = 0.5
"""Before who follows connects again."""

Heard = Callable[[Slot, bytes | None], None]
"""Takes a slot that was filled, and its entry where that is at hand."""

_APPEND = f"""
WITH head AS (
  UPDATE tidings.journal SET end_slot = end_slot + 1
  WHERE name = $1 AND end_slot = $2
  RETURNING end_slot
), filled AS (
  INSERT INTO tidings.slot (journal, slot, entry) SELECT $1, $2, $3 FROM head
  RETURNING slot
)
SELECT
  (SELECT count(pg_notify('{CHANNEL}', slot || ' ' || $1)) FROM filled) AS filled,
  below, end_slot,
  (SELECT entry FROM tidings.slot WHERE journal = $1 AND slot = $2) AS held
FROM tidings.journal WHERE name = $1
"""  # noqa: S608 -- no value of a caller's is in it
"""What comes after WITH sees the tables as they were before."""

_READ = """
SELECT below, end_slot, slot, entry
FROM tidings.journal LEFT JOIN LATERAL (
  SELECT slot, entry FROM tidings.slot WHERE journal = $1 AND slot >= $2 ORDER BY slot LIMIT $3
) AS found ON true
WHERE name = $1
ORDER BY slot
"""

_MOVE_BOUNDARY = """
UPDATE tidings.journal SET below = least($2, end_slot)
WHERE name = $1 AND below < least($2, end_slot)
"""

_TRIM_STEP = """
DELETE FROM tidings.slot WHERE journal = $1 AND slot IN (
  SELECT slot FROM tidings.slot
  WHERE journal = $1 AND slot < (SELECT below FROM tidings.journal WHERE name = $1)
  ORDER BY slot LIMIT $2
)
RETURNING slot
"""

_READ_CELL = "SELECT value FROM tidings.cell WHERE journal = $1 AND name = $2"
_CREATE_CELL = """
INSERT INTO tidings.cell VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name
"""
_SWAP_CELL = """
UPDATE tidings.cell SET value = $3 WHERE journal = $1 AND name = $2 AND value = $4 RETURNING name
"""

_END = "SELECT end_slot FROM tidings.journal WHERE name = $1"


class PostgresOrderStore:
    """Slots and cells of one journal. `tidings.stores.postgres.open_postgres` makes it."""

    entry_bytes_max = ENTRY_BYTES_MAX
    inline_bytes_max = INLINE_BYTES_MAX
    can_trim = True
    is_exclusive = False

    def __init__(self, connections: Connections, journal: str, *, can_follow: bool = True) -> None:
        """Use the journal of that name, whose row is there."""
        self._connections = connections
        self._journal = journal
        self._can_follow = can_follow

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        """See `OrderStore`."""
        if len(entry) > ENTRY_BYTES_MAX:
            raise InvalidRequest(f"an entry has {len(entry)} bytes; at most {ENTRY_BYTES_MAX} fit")
        try:
            rows = await self._connections.run(
                lambda session: session.fetch(_APPEND, self._journal, slot, entry)
            )
        except Indeterminate as error:
            return Unsettled(str(error))
        if not rows:
            raise self._lost_journal()
        (row,) = rows
        if row["filled"]:
            return Appended()
        if slot < row["below"]:
            return Trimmed()
        if row["held"] is not None:
            return Occupied(row["held"])
        if slot > row["end_slot"]:
            raise Corrupt(
                f"the journal ends at slot {row['end_slot']}, though slot {slot - 1} was filled:"
                " was the database restored from a backup while nodes ran? Start them all again;"
                " what the backup lacks is lost"
            )
        if slot < row["end_slot"]:
            raise Corrupt(f"slot {slot} is missing, though slots after it are filled")
        # Somebody filled it while this statement waited for the row.
        return Occupied()

    async def read(self, start: Slot, count_max: int) -> list[bytes] | Trimmed:
        """See `OrderStore`."""
        entries: list[bytes] = []
        while len(entries) < count_max:
            count = min(count_max - len(entries), READ_SLOTS_MAX)
            found = await self._read(Slot(start + len(entries)), count)
            if isinstance(found, Trimmed):
                # Since the first of these statements; `start` is trimmed by now as well.
                return found
            entries += found
            if len(found) < count:
                break
        return entries

    async def _read(self, start: Slot, count: int) -> list[bytes] | Trimmed:
        rows = await self._ask(lambda session: session.fetch(_READ, self._journal, start, count))
        if not rows:
            raise self._lost_journal()
        if start < rows[0]["below"]:
            return Trimmed()
        found = [(row["slot"], row["entry"]) for row in rows if row["slot"] is not None]
        filled_count = max(0, min(rows[0]["end_slot"] - start, count))
        if [slot for slot, _ in found] != list(range(start, start + filled_count)):
            raise Corrupt(f"a slot from {start} on is missing, or one beyond the end is filled")
        return [entry for _, entry in found]

    async def trim(self, below: Slot) -> None:
        """See `OrderStore`."""
        await self._ask(lambda session: session.fetch(_MOVE_BOUNDARY, self._journal, below))
        deleted = TRIM_STEP_SLOTS
        while deleted == TRIM_STEP_SLOTS:
            rows = await self._ask(
                lambda session: session.fetch(_TRIM_STEP, self._journal, TRIM_STEP_SLOTS)
            )
            deleted = len(rows)

    async def read_cell(self, name: str) -> bytes | None:
        """See `OrderStore`."""
        rows = await self._ask(lambda session: session.fetch(_READ_CELL, self._journal, name))
        return rows[0]["value"] if rows else None

    async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
        """See `OrderStore`."""
        query, held = (_CREATE_CELL, ()) if old is None else (_SWAP_CELL, (old,))
        rows = await self._connections.run(
            lambda session: session.fetch(query, self._journal, name, new, *held)
        )
        return len(rows) == 1

    async def _ask(self, call: Call[T]) -> T:
        """Make a call that may be repeated."""
        try:
            return await self._connections.run(call)
        except Indeterminate as error:
            raise Unavailable(str(error)) from error

    def _lost_journal(self) -> Corrupt:
        return Corrupt(f"the database has lost the row of the journal {self._journal!r}")

    # Following ----------------------------------------------------------------------------------

    async def follow(self, heard: Heard) -> None:
        """Call `heard` of slots as they are filled, until cancelled. It only saves time.

        What is told is filled. Slots may be left out, as many as were filled while the server was
        away, and then the last of them is told. Returns at once if a pooler stands between, through
        which no notification comes.
        """
        if not self._can_follow:
            log.warning("a pooler stands before PostgreSQL: new slots are not heard of at once")
            return
        while True:
            try:
                await self._listen(heard)
            except (Unavailable, Indeterminate) as error:
                log.warning("PostgreSQL does not tell of new slots: %s", error)
            await asyncio.sleep(PAUSE_S)

    async def _listen(self, heard: Heard) -> None:
        session = await self._connections.connect()
        connection = session.connection
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            async with asyncio.timeout(CHECK_S):
                await connection.add_listener(CHANNEL, self._listener(heard))
            while not ended.is_set():
                await self._tell_end(session, heard)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_S):
                        await ended.wait()
        except TimeoutError as error:
            raise Unavailable("PostgreSQL did not answer in time") from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable(told(error)) from error
        finally:
            connection.terminate()

    def _listener(self, heard: Heard) -> Callable[..., None]:
        def take(_connection: object, _process: int, _channel: str, payload: object) -> None:
            slot, _, journal = str(payload).partition(" ")
            if journal == self._journal:
                heard(Slot(int(slot)), None)

        return take

    async def _tell_end(self, session: Session, heard: Heard) -> None:
        """Make sure that the server is there, and that nothing was missed."""
        async with asyncio.timeout(CHECK_S):
            rows = await session.fetch(_END, self._journal)
        if rows and rows[0]["end_slot"]:
            heard(Slot(rows[0]["end_slot"] - 1), None)


_order_store: type[OrderStore] = PostgresOrderStore
