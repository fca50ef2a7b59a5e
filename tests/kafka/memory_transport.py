"""A transport without a network."""

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Holds what was sent, and what the connection wished for; loses it when it is closed."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": ("10.0.0.9", 50000), "sockname": ("10.0.0.1", 9092)})
        self._protocol = protocol
        self.sent = b""
        self.state = "open"
        self._is_paused = False
        # What a real transport would say that the client has not read.
        self.unsent_bytes = 0

    def write(self, data: Any) -> None:
        assert self.state == "open"
        self.sent += data

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def is_paused(self) -> bool:
        return self._is_paused

    def pause_reading(self) -> None:
        assert not self._is_paused
        self._is_paused = True

    def resume_reading(self) -> None:
        assert self._is_paused
        self._is_paused = False

    def _end(self, state: str) -> None:
        if self.state == "open":
            self.state = state
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
