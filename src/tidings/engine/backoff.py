"""Pauses between tries, doubling up to a bound."""

import asyncio

from tidings.engine.settings import Settings


class Backoff:
    """The pauses of one loop that retries."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next_s = settings.retry_min_s

    async def pause(self) -> None:
        """Wait; each time twice as long as the time before."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._settings.retry_max_s)
        await asyncio.sleep(pause_s)

    def reset(self) -> None:
        """Start from the shortest pause again."""
        self._next_s = self._settings.retry_min_s
