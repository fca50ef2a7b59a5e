"""A poll of many keys: all at once, and something in time rather than everything too late."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from tidings.errors import TidingsError, Unavailable
from tidings.maelstrom.concurrently import for_each
from tidings.maelstrom.design import Polled
from tidings.types import Json

POLL_TIMEOUT_S = 3.0
"""A poll returns the keys that it has read by then."""

POLL_RECORDS_MAX = 1_024
"""Records of one key that one poll returns; the client asks again for the rest."""

PollKey = Callable[[str, int], Awaitable[list[tuple[int, Json]]]]
"""Returns the records of a key from an offset on; may raise any `TidingsError`."""


async def poll_each(offsets: Mapping[str, int], poll_key: PollKey) -> Polled:
    """Poll every key and return those with records; a key that fails is left out.

    Raises:
        Unavailable: No key could be read.
    """
    polled: Polled = {}
    failures: list[str] = []

    async def poll_one(item: tuple[str, int]) -> None:
        key, start_offset = item
        try:
            polled[key] = await poll_key(key, start_offset)
        except TidingsError as failure:
            failures.append(str(failure))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLL_TIMEOUT_S):
            await for_each(offsets.items(), poll_one)
    if offsets and not polled:
        raise Unavailable(f"no key could be read: {', '.join(failures[:1]) or 'no answer in time'}")
    return {key: records for key, records in polled.items() if records}
