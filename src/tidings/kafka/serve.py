"""Puts a broker together on two stores, and runs it until it is told to stop."""

import asyncio
import gc
import logging
import random
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tidings
from tidings.engine.log import Log
from tidings.engine.settings import Settings
from tidings.kafka.answering import ANSWERER, Answerer
from tidings.kafka.broker import Broker
from tidings.kafka.connections import Connections
from tidings.kafka.known_brokers import Address
from tidings.kafka.listening import Listening, listen_as_told, listen_or_advise
from tidings.kafka.means import Means
from tidings.kafka.metrics.service import Metrics
from tidings.kafka.server import Server
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.standalone import ENGINE, Storage, in_memory
from tidings.kafka.surroundings import Surround, Surroundings, alone
from tidings.stores.folder import open_folder

if TYPE_CHECKING:
    from tidings.kafka.cluster.place import ClusterPlace

logger = logging.getLogger(__name__)

_OTHER_FILES = 1000
"""Open files that are no connections: those of the stores."""

GARBAGE_THRESHOLDS = (10_000, 10, 50)
"""Python looks for cycles this seldom (its default: 700, 10, 10). What a broker makes a lot of, it
frees by counting: looking took 7 % of all instructions of small Produce requests."""

SayReady = Callable[[Sequence[Listening], Address | None], None]
"""Told where clients can connect, and where metrics are, if anywhere."""

SWITCH_INTERVAL_S = 0.0005
"""How long a busy event loop may keep the store's threads waiting (Python's default: 0.005)."""


@dataclass(frozen=True, slots=True)
class Ready:
    """How to reach a broker, for whoever started it."""

    version: str
    listening: Sequence[Listening]
    """Where clients can connect, and are told to; the first is the listener without a name."""
    metrics: Address | None
    place: "Path | ClusterPlace | None"
    """The folder that keeps everything, or the stores that do; None: memory."""


def run(
    settings: BrokerSettings,
    place: "Path | ClusterPlace | None",
    *,
    say_ready: Callable[[Ready], None],
) -> None:
    """Be a broker until SIGTERM or SIGINT; on uvloop where that is installed.

    `place` is the data folder, which is made if it is not there, or the stores that this broker
    shares with others; None: keep everything in memory.

    Raises:
        InvalidRequest: The address cannot be listened on, or the folder is of something else.
        Unavailable: The folder cannot be used; another process may have it open.
        Corrupt: A store holds something else than what was put there. While the broker runs, this
            comes in an exception group.
    """

    def say(listening: Sequence[Listening], metrics: Address | None) -> None:
        say_ready(Ready(tidings.__version__, listening, metrics, place))

    _allow_many_files(settings.connections_max)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What was imported stays: nobody need look through it again.
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_open_and_serve(settings, place, say))


async def _open_and_serve(
    settings: BrokerSettings, place: "Path | ClusterPlace | None", say_ready: SayReady
) -> None:
    if place is None or isinstance(place, Path):
        async with open_folder(place, random.Random()) if place else in_memory() as storage:
            await serve(storage, settings, say_ready=say_ready)
        return
    # Takes a while, which who serves alone need not wait for.
    from tidings.kafka.cluster.joining import check_advertised, join  # noqa: PLC0415
    from tidings.kafka.cluster.storage import open_shared  # noqa: PLC0415

    check_advertised(settings)
    async with open_shared(place.order, place.blobs) as stores:
        surround = partial(join, stores, place)
        await serve(stores, settings, say_ready=say_ready, surround=surround)


def _allow_many_files(connections_max: int) -> None:
    """Raise the limit of open files as far as the system lets us: each connection is one."""
    wanted = connections_max + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes event loops here; None for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 -- not everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(
    storage: Storage, settings: BrokerSettings, *, say_ready: SayReady, surround: Surround = alone
) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is answered, if it takes not long.

    Raises:
        InvalidRequest: The address cannot be listened on.
        Corrupt: A store holds something else than what was put there (in an exception group).
    """
    listening = listen_as_told(settings)
    told_to_stop = _on_signal()
    if settings.metrics_port is None:
        async with serving(storage, settings, listening, surround=surround) as at_work:
            say_ready(at_work.listening, None)
            await told_to_stop.wait()
        return
    metrics_listening = listen_or_advise(settings.host, settings.metrics_port, "--metrics-port")
    metrics = Metrics()
    settings = replace(settings, metrics_port=int(metrics_listening.getsockname()[1]))
    counted = metrics.stores.around(storage)
    async with (
        serving(counted, settings, listening, metrics.requests.answerer, surround) as at_work,
        metrics.serve(
            metrics_listening,
            at_work.broker,
            at_work.connections,
            at_work.around,
            storage.blobs,
        ) as address,
    ):
        say_ready(at_work.listening, address)
        await told_to_stop.wait()


class Serving(NamedTuple):
    """A broker at work."""

    broker: Broker
    listening: Sequence[Listening]
    connections: Connections
    around: Surroundings


@asynccontextmanager
async def serving(
    storage: Storage,
    settings: BrokerSettings,
    listening: Sequence[Listening],
    answerer: Answerer = ANSWERER,
    surround: Surround = alone,
    *,
    means: Means | None = None,
) -> AsyncIterator[Serving]:
    """Serve until the block ends, and close what listens; the first listener has no name.

    What is in flight in the end is answered, if it takes no longer than `shutdown_patience_s`.
    `surround` is what takes the broker up where it is one of several.

    Raises:
        InvalidRequest, Unavailable: It was not taken up.
        Corrupt: A store holds something else than what was put there (in an exception group).
    """
    means = means or Means()
    settings = replace(settings, listeners=tuple(each.settings for each in listening[1:]))
    around = await surround(settings, [each.told for each in listening])
    log = Log(
        storage.order,
        storage.blobs,
        peers=around.peers,
        clock=means.clock,
        rng=means.rng,
        settings=engine_settings(around.settings, around.engine),
        page_format=means.page_format,
    )
    broker = Broker(
        log, means.clock, around.settings, storage.cluster_id, around.known, means.secret_rng
    )
    async with asyncio.TaskGroup() as tasks:
        at_work = [
            tasks.create_task(log.run(), name="log"),
            tasks.create_task(broker.run(), name="broker"),
            tasks.create_task(_tell_when_recovered(log), name="recovery"),
        ]
        at_work += [tasks.create_task(going) for going in around.running(log, broker)]
        server = Server(broker, tasks, answerer)
        await server.start(listening)
        yield Serving(broker, listening, server.connections, around)
        await around.leave()
        await server.stop()
        for task in at_work:
            task.cancel()


async def _tell_when_recovered(log: Log) -> None:
    await log.journal.recovered.wait()
    state = log.journal.state
    counts = {"slots": int(state.next_slot), "topics": len(state.topics)}
    logger.info("read the journal: %d slots, %d topics", *counts.values(), extra={"fields": counts})


def engine_settings(settings: BrokerSettings, engine: Settings = ENGINE) -> Settings:
    """Return what the engine is told."""
    page_cache_bytes = settings.cache_bytes_max // 9
    return replace(
        engine,
        entry_cache_bytes=4 * page_cache_bytes,
        blob_cache_bytes=3 * page_cache_bytes,
        fresh_blob_bytes=page_cache_bytes,
        page_cache_bytes=page_cache_bytes,
        retention_ms=settings.retention_ms,
        retention_bytes=settings.retention_bytes,
        retention_interval_s=settings.retention_check_interval_ms / 1000,
    )


def _on_signal() -> asyncio.Event:
    """Return what is set when somebody wants the process to end."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        logger.info("told to stop by %s", number.name, extra={"fields": {"signal": number.name}})
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return told
