"""Who connects to a node, or listens where it connects, and does not do as nodes do."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import SystemRandom

from tcp_nodes import CLUSTER, SECRET

from tidings.peers import PeerAddress
from tidings.peers.channel import Channel
from tidings.peers.handshake import Identity, dial


@asynccontextmanager
async def connected_to(address: PeerAddress) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """Connect to a node."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def channel_to(
    address: PeerAddress,
    target: str,
    *,
    name: str = "n0",
    secret: bytes = SECRET,
    cluster: str = CLUSTER,
) -> AsyncIterator[Channel]:
    """Connect to a node and shake hands as another would."""
    async with connected_to(address) as (reader, writer):
        identity = Identity(cluster, name, secret)
        yield Channel(reader, writer, await dial(reader, writer, identity, target, SystemRandom()))


async def read_to_the_end(channel: Channel) -> None:
    """Read until the other side closes the connection."""
    try:
        while True:
            await channel.read()
    except (EOFError, ConnectionResetError):
        pass


@asynccontextmanager
async def relay(
    address: PeerAddress, alter: Callable[[bytes], bytes]
) -> AsyncIterator[PeerAddress]:
    """Pass on what somebody sends to a node, altered, and its answers as they are."""
    async with asyncio.TaskGroup() as tasks:

        async def pump(
            reader: StreamReader, writer: StreamWriter, change: Callable[[bytes], bytes]
        ) -> None:
            while data := await reader.read(65536):
                writer.write(change(data))
            writer.transport.abort()

        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            async with (
                connected_to(address) as (far_reader, far_writer),
                asyncio.TaskGroup() as ways,
            ):
                ways.create_task(pump(reader, far_writer, alter))
                ways.create_task(pump(far_reader, writer, bytes))

        async with listening(serve, tasks) as where:
            yield where


@asynccontextmanager
async def listening(
    serve: Callable[[StreamReader, StreamWriter], Awaitable[None]], tasks: asyncio.TaskGroup
) -> AsyncIterator[PeerAddress]:
    """Serve connections as told, until the block ends."""
    at_work: list[asyncio.Task[None]] = []
    writers: list[StreamWriter] = []

    async def guarded(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except* (OSError, EOFError):
            pass

    def accepted(reader: StreamReader, writer: StreamWriter) -> None:
        writers.append(writer)
        at_work.append(tasks.create_task(guarded(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield PeerAddress(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()
        for task in at_work:
            task.cancel()
        for writer in writers:
            writer.transport.abort()
