"""A few connections to the server, each used by one call at a time; what its errors mean.

A call is sent once. If its answer does not come in time, or the connection ends before it, nobody
knows whether it was carried out; its connection is closed, and so are those that lie idle, for the
server may be another one by now.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeAlias, TypeVar

import asyncpg

from tidings.errors import Indeterminate, InvalidRequest, Unavailable

T = TypeVar("T")

APPLICATION_NAME = "tidings"

UNSETTLED_CLASSES = ("08", "57P", "58", "F0", "XX")
"""How the error codes begin after which a statement may have been committed all the same: the
connection failed, the server was stopped, or something in it broke."""

UNSETTLED_CODES = ("40003",)
"""Statement completion unknown."""

STALE_CLASSES = ("25", "26", "0A", "42")
"""What a server says that was the primary once, or has other tables or statements by now."""


class Session:
    """One connection, and what the server has parsed for it."""

    def __init__(self, connection: "asyncpg.Connection[Any]", name: str | None) -> None:
        """Wrap a connection; without a `name` nothing is parsed beforehand.

        The name is in those of the statements. No other client may have it: behind a pooler, the
        statement of another would be carried out instead.
        """
        self.connection = connection
        self._name = name
        self._statements: dict[str, asyncpg.prepared_stmt.PreparedStatement[Any]] = {}

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Carry out one statement in a transaction of its own; return its rows."""
        rows: list[Any]
        if self._name is None:
            rows = await self.connection.fetch(query, *arguments)
            return rows
        statement = self._statements.get(query)
        if statement is None:
            name = f"{self._name}_{len(self._statements)}"
            statement = await self.connection.prepare(query, name=name)
            self._statements[query] = statement
        rows = await statement.fetch(*arguments)
        return rows


Call: TypeAlias = Callable[[Session], Awaitable[T]]


class Connections:
    """At most `count_max` connections, opened when they are needed."""

    def __init__(
        self,
        url: str,
        rng: Random,
        *,
        count_max: int,
        timeout_s: float,
        keeps_statements: bool = True,
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: As libpq takes it: `postgres://user:password@host:port/database?sslmode=…`, also
                with several hosts, of which the primary is used.
            rng: Gives names that no other client has.
            count_max: Connections at a time; more calls wait for one.
            timeout_s: How long a call may take, with waiting for a connection and opening it.
            keeps_statements: Whether the server still knows, at the next call, what it parsed
                before. Without, each call takes two round trips instead of one.
        """
        self._url = url
        self._rng = rng
        self._timeout_s = timeout_s
        self._keeps_statements = keeps_statements
        self._permits = asyncio.Semaphore(count_max)
        self._idle: list[Session] = []

    async def connect(self) -> Session:
        """Open a connection; whoever asked for it closes it.

        Raises:
            InvalidRequest: The URL is wrong.
            Unavailable: The server cannot be reached, or refuses.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await asyncpg.connect(
                    self._url,
                    statement_cache_size=0,
                    server_settings={"application_name": APPLICATION_NAME},
                    target_session_attrs="read-write",
                )
        except TimeoutError as error:
            raise Unavailable("PostgreSQL did not answer in time") from error
        except ValueError as error:
            raise InvalidRequest(f"this is no URL of PostgreSQL: {told(error)}") from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Unavailable(f"PostgreSQL cannot be connected to: {told(error)}") from error
        name = f"tidings_{self._rng.getrandbits(64):016x}" if self._keeps_statements else None
        return Session(connection, name)

    async def run(self, call: Call[T]) -> T:
        """Make a call, once, on a connection of its own.

        Raises:
            Unavailable: The server refused it, or it was never sent.
            Indeterminate: It may have been carried out, or still be.
        """
        session: Session | None = None
        try:
            async with asyncio.timeout(self._timeout_s), self._permits:
                session = self._take() or await self.connect()
                answer = await call(session)
        except asyncpg.PostgresError as error:
            self._sort_out(error, session)
            kind = Indeterminate if _is_unsettled(error) else Unavailable
            raise kind(f"PostgreSQL refused: {told(error)}") from error
        except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
            self._give_up(session)
            kind = Unavailable if session is None else Indeterminate
            raise kind(f"PostgreSQL did not answer: {told(error)}") from error
        except BaseException:
            # Whoever waited was cancelled: what comes on this connection is nobody's answer.
            if session is not None:
                session.connection.terminate()
            raise
        self._idle.append(session)
        return answer

    def _take(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if not session.connection.is_closed():
                return session
        return None

    def _sort_out(self, error: asyncpg.PostgresError, session: Session | None) -> None:
        """Keep a connection on which only a statement failed."""
        code = error.sqlstate or ""
        if session is None or _is_unsettled(error) or code.startswith(STALE_CLASSES):
            self._give_up(session)
        else:
            self._idle.append(session)

    def _give_up(self, session: Session | None) -> None:
        if session is not None:
            session.connection.terminate()
        self.close()

    def close(self) -> None:
        """Close the connections that lie idle."""
        while self._idle:
            self._idle.pop().connection.terminate()


def _is_unsettled(error: asyncpg.PostgresError) -> bool:
    code = error.sqlstate or ""
    return code.startswith(UNSETTLED_CLASSES) or code in UNSETTLED_CODES


def told(error: BaseException) -> str:
    """Return what an error says; time-outs, say, say nothing."""
    return str(error) or type(error).__name__
