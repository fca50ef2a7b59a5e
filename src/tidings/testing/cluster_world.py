"""A simulated cluster of brokers: all their lives, their stores, and the network around them.

A broker is what production runs, from its listening socket to its stores: `tidings.kafka.serve`
puts it together, `tidings.kafka.cluster.joining` takes it up. Sockets, stores, time and chance are
simulated.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any, Final, cast

from tidings.errors import Indeterminate, Unavailable
from tidings.kafka.cluster.identity import read_or_make_identity
from tidings.kafka.cluster.joining import join
from tidings.kafka.cluster.place import ClusterPlace
from tidings.kafka.cluster.storage import SharedStorage
from tidings.kafka.listening import Listening
from tidings.kafka.means import Means
from tidings.kafka.serve import Serving, serving
from tidings.kafka.settings import BrokerSettings
from tidings.testing.audit import Auditor
from tidings.testing.clock import SimClock
from tidings.testing.cluster_plan import ClusterPlan
from tidings.testing.faulty_stores import FaultyBlobStore
from tidings.testing.life import Answer, CarryOut, Crash, Life
from tidings.testing.process import Process, ProcessLoop
from tidings.testing.storage import MemoryStorage
from tidings.testing.tcp import TcpNetwork
from tidings.testing.tcp_weather import TcpWeather
from tidings.testing.trace import Trace
from tidings.testing.watched_order import WatchedOrderStore, WatchedSlots, Watches

CLIENT_PORT: Final = 9092
BROKER_PORT: Final = 9093

RESTART_S_MAX: Final = 2.0
"""How long a broker is down that ended by itself."""

TOPIC: Final = "log"
"""The one topic of all records."""


class BrokerLife(Life):
    """One life of one broker."""

    def __init__(self, process: Process, number: int, world: "ClusterWorld", crash: Crash) -> None:
        super().__init__(
            process.host, number, weather=world.weather, trace=world.trace, crash=crash
        )
        self.process = process
        self._loop = world.loop
        # Set to have it end in peace.
        self.told_to_end = asyncio.Event()
        # Set once clients can connect.
        self.at_work: Serving | None = None

    def call_store(self, kind: str, carry_out: CarryOut, refuse: Answer | None = None) -> None:
        """See `Life`: what a store does goes on while the process stands still."""
        begin = super().call_store
        self._loop.call_soon(begin, kind, carry_out, refuse, context=self._loop.outside)


class SimBroker:
    """A broker: the life it has now, and what it keeps through all of them."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.clock = SimClock(asyncio.get_running_loop().time)
        self.life_count = 0
        # None while it is down.
        self.life: BrokerLife | None = None

    @property
    def at_work(self) -> Serving | None:
        """What it is made of, while it serves."""
        return None if self.life is None else self.life.at_work


class ClusterWorld:
    """The brokers and what surrounds them."""

    def __init__(self, plan: ClusterPlan, tasks: asyncio.TaskGroup, trace: Trace) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop), "it runs on a loop of processes"
        self.plan = plan
        self.trace = trace
        self.loop = loop
        self.weather = TcpWeather(plan, trace)
        self.network = TcpNetwork(loop, self.weather, trace)
        self.auditor = Auditor(trace)
        self.storage = MemoryStorage(plan)
        self.watches = Watches(plan, loop, trace)
        WatchedSlots(self.storage, self.watches)
        self.brokers = [SimBroker(f"b{number}") for number in range(plan.node_count)]
        self.is_healed = False
        # Whether no broker may start any more.
        self._is_over = False
        self._tasks = tasks
        self._restarts = Random(f"{plan.seed}/restarts")

    @property
    def hosts(self) -> list[str]:
        """The hosts of all brokers."""
        return [broker.host for broker in self.brokers]

    @property
    def client_hosts(self) -> list[str]:
        """The hosts of all clients."""
        return [f"c{number}" for number in range(self.plan.client_count)] + self.member_hosts

    @property
    def member_hosts(self) -> list[str]:
        """The hosts of the members of the consumer group, which are clients as well."""
        return [f"g{number}" for number in range(self.plan.consumer_count)]

    # Lives --------------------------------------------------------------------------------------

    def start(self, broker: SimBroker) -> None:
        """Start a broker with empty memory, unless it is up or all has ended."""
        if broker.life is not None or self._is_over:
            return
        broker.life_count += 1
        self.network.come_back(broker.host)
        process = Process(broker.host)
        life = BrokerLife(process, broker.life_count, self, self._crash_in_call)
        broker.life = life
        name = f"{broker.host}/{life.number}"
        self.trace.add(broker.host, "starts", f"life {life.number}")
        life.task = self.loop.create_task(
            self._live(broker, life), name=name, context=process.context
        )
        self._tasks.create_task(self._watch(broker, life), name=f"watch {name}")

    async def _live(self, broker: SimBroker, life: BrokerLife) -> None:
        """Be a broker; see `tidings.kafka.serve.serve`."""
        plan = self.plan
        rng = Random(f"{plan.seed}/{broker.host}/{life.number}")
        means = Means(
            clock=broker.clock,
            rng=rng,
            secret_rng=Random(rng.random()),
            listen=cast("Any", self.network.listen),
            page_format=plan.page_format,
        )
        settings = self._settings(broker)
        storage = await self._open(life, means)
        place = ClusterPlace(order="sim:", blobs="sim:", gossip_port=BROKER_PORT)
        surround = partial(
            join,
            storage,
            place,
            means=means,
            registry_settings=plan.registry,
            peer_settings=plan.peers,
        )
        taken = cast("Any", self.network.listen(broker.host, CLIENT_PORT))
        listening = [Listening(settings.every_listener[0], taken)]
        async with serving(storage, settings, listening, surround=surround, means=means) as at_work:
            log = at_work.broker.log
            self.auditor.watch(broker.host, log)
            log.journal.jump_observers.append(lambda: self.storage.disown(life))
            life.at_work = at_work
            await life.told_to_end.wait()
            self.trace.add(broker.host, "ends in peace")
        self.trace.count("ended in peace")

    def _settings(self, broker: SimBroker) -> BrokerSettings:
        return BrokerSettings(
            host=broker.host,
            port=CLIENT_PORT,
            auto_create_topics=False,
            retention_check_interval_ms=1_000,
            cache_bytes_max=self.plan.cache_bytes,
            group_session_timeout_min_ms=500,
        )

    async def _open(self, life: BrokerLife, means: Means) -> SharedStorage:
        """Open the stores; see `tidings.kafka.cluster.storage.open_shared`."""
        stored = self.storage
        order = WatchedOrderStore(
            stored.order, life, self.trace, process=life.process, watches=self.watches
        )
        blobs = FaultyBlobStore(stored.blobs, life, self.trace, stored.owners)
        identity = await read_or_make_identity(order, means.secret_rng)
        return SharedStorage(order, blobs, identity, self.plan.settings)

    async def _watch(self, broker: SimBroker, life: BrokerLife) -> None:
        """See how a life ends; one that ended by itself is followed by another."""
        ended = asyncio.Event()
        life.task.add_done_callback(lambda _: ended.set(), context=self.loop.outside)
        await ended.wait()
        if life.is_over:
            # It was killed; what its tasks raised while they were cancelled, nobody would see.
            if not life.task.cancelled():
                life.task.exception()
            return
        error = None if life.task.cancelled() else life.task.exception()
        if error is not None:
            self._check_end(broker, life, error)
        self._bury(broker, vanishes=False)
        await asyncio.sleep(self._restarts.uniform(0, RESTART_S_MAX))
        self.start(broker)

    def _check_end(self, broker: SimBroker, life: BrokerLife, error: BaseException) -> None:
        """Let only a broker give up that could not reach its stores when it started."""
        is_known = all(isinstance(each, Unavailable | Indeterminate) for each in _leaves(error))
        if not is_known or life.at_work is not None:
            raise AssertionError(f"{broker.host} ended by itself: {error!r}") from error
        self.trace.count("start given up")
        self.trace.add(broker.host, "gives up", repr(error))

    def kill(self, broker: SimBroker, *, vanishes: bool = False) -> None:
        """End a broker's life at once, if it is up; calls on their way to a store go on."""
        life = broker.life
        if life is None:
            return
        self.trace.add(broker.host, "dies", "with its host" if vanishes else "")
        self._bury(broker, vanishes=vanishes)
        life.task.cancel()

    def _bury(self, broker: SimBroker, *, vanishes: bool) -> None:
        life, broker.life = broker.life, None
        assert life is not None, "who is buried has lived"
        life.is_over = life.process.is_over = True
        life.at_work = None
        self.loop.go_on(life.process)
        self.watches.end(life.process)
        self.network.end(life.process, vanishes=vanishes)

    def _crash_in_call(self, life: Life, fault: str) -> None:
        broker = next(broker for broker in self.brokers if broker.host == life.node_id)
        if broker.life is not life:
            return
        self.trace.add(broker.host, fault)
        self.kill(broker)
        self._tasks.create_task(self._restart(broker, self._restarts.uniform(0, RESTART_S_MAX)))

    async def _restart(self, broker: SimBroker, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self.start(broker)

    def start_all(self) -> None:
        """Start every broker that is down."""
        for broker in self.brokers:
            self.start(broker)

    def stop(self, life: BrokerLife) -> None:
        """Have a process stand still."""
        if not life.is_over:
            life.process.is_stopped = True

    def go_on(self, life: BrokerLife) -> None:
        """Have a process that stood still go on."""
        if not life.is_over:
            self.loop.go_on(life.process)

    def heal(self) -> None:
        """End all trouble."""
        self.is_healed = True
        self.trace.add("world", "heals")
        self.weather.heal()
        self.network.cut.clear()
        for broker in self.brokers:
            self.network.vanished.pop(broker.host, None)
            if broker.life is not None:
                broker.life.reach_stores()
                self.loop.go_on(broker.life.process)
        self.network.mend()
        self.watches.heal()
        self.start_all()

    def end(self) -> None:
        """End every broker, for good."""
        self._is_over = True
        for broker in self.brokers:
            self.kill(broker)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, and in groups of groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
