"""Puts metrics around a broker, and serves them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidings.clock import SystemClock
from tidings.engine.journal import Journal
from tidings.errors import TidingsError
from tidings.kafka.broker import Broker
from tidings.kafka.connections import Connections
from tidings.kafka.known_brokers import Address
from tidings.kafka.metrics.appends import AppendMetrics
from tidings.kafka.metrics.blob_probe import BlobProbe
from tidings.kafka.metrics.exposition import CONTENT_TYPE, render
from tidings.kafka.metrics.http import Page, http_server
from tidings.kafka.metrics.requests import RequestMetrics
from tidings.kafka.metrics.state import families
from tidings.kafka.metrics.stores import StoreMetrics
from tidings.kafka.surroundings import Surroundings
from tidings.ports import BlobStore

READY_PATIENCE_S = 2.0
"""How long the order store may take to answer before the broker is called not ready."""


class Metrics:
    """What a broker's parts are counted with; made before they are."""

    def __init__(self) -> None:
        self.requests = RequestMetrics(time.perf_counter)
        self.stores = StoreMetrics(time.perf_counter, SystemClock().now_ms)

    @asynccontextmanager
    async def serve(
        self,
        listening: socket.socket,
        broker: Broker,
        connections: Connections,
        around: Surroundings,
        blobs: BlobStore,
    ) -> AsyncIterator[Address]:
        """Serve what was counted, until the block ends; yield where.

        The blob store is probed where it is shared with other brokers: `blobs`, not counted.
        """
        probe = BlobProbe(blobs, self.stores) if around.known else None
        appends = AppendMetrics(around.peers.node_id)

        async def metrics() -> Page:
            found = [
                *families(broker, connections),
                *around.families(),
                *self.requests.families(),
                *appends.families(),
                *self.stores.families(),
            ]
            return Page(200, render(found), CONTENT_TYPE)

        async def health() -> Page:
            return Page(200, b"ok\n")

        async def ready() -> Page:
            return await readiness(broker, probe)

        pages = {"/metrics": metrics, "/healthz": health, "/readyz": ready}
        async with http_server(listening, pages), asyncio.TaskGroup() as tasks:
            going = [tasks.create_task(_begin(broker.log.journal, appends), name="metrics")]
            if probe is not None:
                going.append(tasks.create_task(probe.run(), name="blob probe"))
            yield Address(*listening.getsockname()[:2])
            for task in going:
                task.cancel()


async def _begin(journal: Journal, appends: AppendMetrics) -> None:
    """Count what is appended from now on, not what is read at the start."""
    await journal.recovered.wait()
    journal.observers.append(appends.observe)


async def readiness(broker: Broker, probe: BlobProbe | None = None) -> Page:
    """Say whether the broker knows the whole journal, and both stores can be used."""
    if not broker.log.journal.recovered.is_set():
        return Page(503, b"reading the journal\n")
    try:
        async with asyncio.timeout(READY_PATIENCE_S):
            await broker.log.barrier()
    except TimeoutError:
        return Page(503, b"the order store does not answer in %d s\n" % READY_PATIENCE_S)
    except TidingsError as error:
        return Page(503, f"the order store does not answer: {error}\n".encode())
    if probe is not None and probe.trouble is not None:
        return Page(503, f"the blob store cannot be used: {probe.trouble}\n".encode())
    return Page(200, b"ok\n")
