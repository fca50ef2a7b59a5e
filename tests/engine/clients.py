"""Clients of the engine that do what those of the kafka workload do, and write it down."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Protocol

from tidings.checker.history import Event, EventType
from tidings.engine.log import Log
from tidings.errors import Corrupt, TidingsError
from tidings.types import Offset, TopicPartition

KEYS = tuple("abcde")
GROUP = "group"
CLIENT_TIMEOUT_S = 5.0
FETCH_BYTES = 1000
"""Little, so that a client needs many polls."""


def name_of(key: str) -> TopicPartition:
    return TopicPartition(key, 0)


class Server(Protocol):
    """A node as its clients see it."""

    log: Log | None
    """None while it is down."""
    connections: dict[asyncio.Timeout, None]
    """Of the requests under way."""


class Record:
    """What was seen in a run."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        # What the world did to its nodes.
        self.happened: Counter[str] = Counter()
        # Of each key the end of what was acknowledged, and the highest committed offset that was.
        self.ends: dict[str, int] = {}
        self.committed: dict[str, int] = {}

    def note(
        self, type_: EventType, process: int, f: str, value: Any, *, rewinds: bool = False
    ) -> None:
        time = round(asyncio.get_running_loop().time() * 1e9)
        self.events.append(
            Event(
                index=len(self.events),
                time=time,
                type=type_,
                process=process,
                f=f,
                value=value,
                seek_to_beginning=rewinds,
            )
        )


class Clients:
    """All clients of a world."""

    def __init__(self, seed: object, servers: Sequence[Server]) -> None:
        self.record = Record()
        self._rng = Random(f"{seed}/clients")
        self._servers = servers
        self._process = 0
        self._value = 0

    def new_process(self) -> int:
        self._process += 1
        return self._process

    async def work(self, interval_s: float) -> None:
        """Be one client after the other, until cancelled."""
        while True:
            client = Client(self, self._rng.choice(self._servers))
            while client.is_sound:
                await asyncio.sleep(self._rng.expovariate(1 / interval_s))
                await self._act(client)

    async def _act(self, client: "Client") -> None:
        match self._rng.random():
            case draw if draw < 0.1 or not client.positions:
                await client.assign(self._rng.sample(KEYS, 3))
            case draw if draw < 0.15:
                await client.check_end(self._rng.choice(KEYS))
            case draw if draw < 0.6:
                await client.send(self._rng.choice(KEYS), self.next_value())
            case _:
                await client.poll()

    def next_value(self) -> int:
        self._value += 1
        return self._value

    def note_sent(self, key: str, offset: int, value: int) -> None:
        """Write down a record that was there before."""
        process = self.new_process()
        self.record.note("invoke", process, "send", [["send", key, value]])
        self.record.note("ok", process, "send", [["send", key, [offset, value]]])
        self.record.ends[key] = offset + 1

    async def read_all(self, server: Server) -> None:
        """Read everything through one node, and have it take one record more; retry for ever."""
        client = Client(self, server)
        while not await client.send(KEYS[0], self.next_value()):
            client = Client(self, server)
        while any(client.positions.get(key, 0) < end for key, end in self.record.ends.items()):
            if not client.is_sound:
                client = Client(self, server)
            if not client.positions:
                await client.assign(KEYS, rewinds=True)
            before = dict(client.positions)
            await client.poll()
            if client.positions == before:
                await asyncio.sleep(0.1)


class Client:
    """One process of the history; after an unknown outcome it is of no more use."""

    def __init__(self, clients: Clients, server: Server) -> None:
        self._clients = clients
        self._record = clients.record
        self._server = server
        self._process = clients.new_process()
        self.is_sound = True
        # The next offset of each assigned key.
        self.positions: dict[str, int] = {}

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[None]:
        """Give what happens inside a time-out, which comes at once when the node dies."""
        async with asyncio.timeout(CLIENT_TIMEOUT_S) as connection:
            self._server.connections[connection] = None
            try:
                yield
            finally:
                self._server.connections.pop(connection, None)

    @asynccontextmanager
    async def _operation(
        self, f: str, value: Any, *, rewinds: bool = False
    ) -> AsyncIterator[list[Any]]:
        """Record an operation; the body puts the value it ended with into what this yields."""
        self._record.note("invoke", self._process, f, value, rewinds=rewinds)
        outcome: list[Any] = []
        try:
            async with self._connection():
                yield outcome
        except Corrupt:
            raise
        except (TidingsError, TimeoutError) as error:
            type_: EventType = "info"
            if f == "assign" or (isinstance(error, TidingsError) and error.definite):
                type_ = "fail"
            self._record.note(type_, self._process, f, value, rewinds=rewinds)
            self.is_sound = type_ == "fail"
        except asyncio.CancelledError:
            self._record.note("info", self._process, f, value, rewinds=rewinds)
            raise
        else:
            ended = outcome[0] if outcome else value
            type_ = "ok" if outcome else "fail"
            self._record.note(type_, self._process, f, ended, rewinds=rewinds)

    async def send(self, key: str, value: int) -> bool:
        async with self._operation("send", [["send", key, value]]) as outcome:
            if (log := self._server.log) is not None:
                data = str(value).encode()
                offset = await log.append(name_of(key), data, create_topic=True)
                outcome.append([["send", key, [offset, value]]])
                ends = self._record.ends
                ends[key] = max(ends.get(key, 0), offset + 1)
        return bool(outcome)

    async def poll(self) -> None:
        async with self._operation("poll", [["poll"]]) as outcome:
            if (log := self._server.log) is not None:
                polled: dict[str, list[list[int]]] = {}
                for key, position in self.positions.items():
                    batches = await log.fetch(name_of(key), Offset(position), FETCH_BYTES)
                    if batches:
                        polled[key] = [[batch.base_offset, int(batch.data)] for batch in batches]
                outcome.append([["poll", polled]])
                await self._commit(log, polled)
                for key, records in polled.items():
                    self.positions[key] = records[-1][0] + 1

    async def _commit(self, log: Log, polled: dict[str, list[list[int]]]) -> None:
        offsets = {name_of(key): Offset(records[-1][0] + 1) for key, records in polled.items()}
        if offsets:
            await log.commit_offsets(GROUP, offsets)
            committed = self._record.committed
            for name, offset in offsets.items():
                committed[name.topic] = max(committed.get(name.topic, 0), offset)

    async def assign(self, keys: Sequence[str], *, rewinds: bool = False) -> None:
        floor = dict(self._record.committed)
        async with self._operation("assign", list(keys), rewinds=rewinds) as outcome:
            committed: dict[TopicPartition, Offset] = {}
            if (log := self._server.log) is not None:
                committed = await log.committed_offsets(GROUP, [name_of(key) for key in keys])
                outcome.append(list(keys))
                for key in keys:
                    seen = committed.get(name_of(key), 0)
                    assert seen >= floor.get(key, 0), f"{key}: {seen} after {floor} was committed"
            if outcome or rewinds:
                self.positions = {
                    key: 0
                    if rewinds
                    else self.positions.get(key, max(committed.get(name_of(key), 0) - 1, 0))
                    for key in keys
                }

    async def check_end(self, key: str) -> None:
        """See that what was acknowledged before is counted in; not part of the history."""
        floor = self._record.ends.get(key, 0)
        try:
            async with self._connection():
                if (log := self._server.log) is not None:
                    end = await log.end_offset(name_of(key))
                    assert end >= floor, f"{key} ends at {end} after {floor} was acknowledged"
        except (TidingsError, TimeoutError):
            pass
