"""One connection to one node, from the handshake to its end."""

import asyncio
from collections.abc import Callable

from tidings.peers.channel import Channel, Kind
from tidings.peers.handshake import Refused
from tidings.peers.outbox import Outbox
from tidings.peers.settings import PeerSettings


class Link:
    """Carries messages both ways, and sees when the other side has fallen silent."""

    def __init__(self, channel: Channel, outbox: Outbox, settings: PeerSettings) -> None:
        self._channel = channel
        self._outbox = outbox
        self._settings = settings
        # Loop time of the last whole frame.
        self._heard_at = asyncio.get_running_loop().time()

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """Hand each message that arrives to `receive`, and send what is in the outbox.

        Raises:
            ExceptionGroup: The connection has ended: of `Refused`, EOFError or OSError.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._beat())
            await self._read(receive)

    def close(self) -> None:
        """End the connection at once, and `run` with it."""
        self._channel.close()

    async def _read(self, receive: Callable[[bytes], None]) -> None:
        while True:
            kind, body = await self._channel.read()
            self._heard_at = asyncio.get_running_loop().time()
            match kind:
                case Kind.MESSAGE:
                    receive(body)
                case Kind.BEAT:
                    pass
                case _:
                    raise Refused(f"a frame of kind {kind}")

    async def _write(self) -> None:
        while True:
            await self._outbox.wait()
            if self._channel.is_closed:
                # What waits is for the connection that has taken this one's place.
                raise ConnectionResetError("closed")
            self._channel.write(Kind.MESSAGE, self._outbox.take())
            await self._channel.drain()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.beat_interval_s)
            silent_s = loop.time() - self._heard_at
            if silent_s > self._settings.silence_s_max:
                raise Refused(f"silent for {silent_s:.0f} s")
            # Who does not read gets nothing more to read: it would pile up here.
            if self._channel.is_idle:
                self._channel.write(Kind.BEAT, b"")
