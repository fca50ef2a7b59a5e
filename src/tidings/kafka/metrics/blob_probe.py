"""Whether the blob store can be used: asked now and then, for whoever wants to know at once.

A get of a blob that nobody puts is the cheapest question: no data, no list. It does not show
whether more can be written; so while the last put of the broker itself has failed, a few bytes are
put, the same each time and under one name. A store is in trouble after two failures in a row, and
out of it after two successes: what fails once, or every other time, changes nothing.
"""

import asyncio
import logging

from tidings.errors import TidingsError
from tidings.kafka.metrics.stores import StoreMetrics
from tidings.ports import BlobStore

log = logging.getLogger(__name__)

INTERVAL_S = 10.0
"""Between two probes while all is well."""

RETRY_S = 3.0
"""Between two probes while something failed of late."""

PATIENCE_S = 5.0
"""What a probe may take."""

IN_A_ROW = 2
"""So many failures make trouble, and so many successes end it."""

PROBE = "probe"
_PROBE_BYTES = b"Put to see whether anything can be put."


class BlobProbe:
    """Probes one blob store."""

    def __init__(self, blobs: BlobStore, puts: StoreMetrics) -> None:
        """`puts` knows what became of the broker's own puts."""
        self._blobs = blobs
        self._puts = puts
        # Probes in a row that ended otherwise than `trouble` says.
        self._against = 0
        self.trouble: str | None = None
        """Why the store cannot be used; None: it can."""

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            await self.look()
            is_well = self.trouble is None and not self._against and not self._puts.put_failure
            await asyncio.sleep(INTERVAL_S if is_well else RETRY_S)

    async def look(self) -> None:
        """Probe once."""
        self._note(await self._probe())

    async def _probe(self) -> str | None:
        """Return why the store could not be used just now; None: it could."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._puts.put_failure is None:
                    await self._blobs.get(PROBE)
                else:
                    await self._blobs.put(PROBE, _PROBE_BYTES)
                    self._puts.put_failure = None
        except TimeoutError:
            return f"no answer in {PATIENCE_S:g} s"
        except TidingsError as error:
            return str(error)
        return None

    def _note(self, failure: str | None) -> None:
        if (failure is None) == (self.trouble is None):
            self._against = 0
            self.trouble = failure
            return
        self._against += 1
        if self._against < IN_A_ROW:
            return
        self._against = 0
        self.trouble = failure
        if failure is None:
            log.info("the blob store can be used again")
        else:
            log.warning("the blob store cannot be used: %s", failure)
