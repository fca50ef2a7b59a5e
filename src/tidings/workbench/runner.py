"""One run, from the first process to the last poll.

    start the nodes → main phase: workload and nemesis → heal → quiet → final polls → stop

A worker performs one operation at a time, on the node that its number gives it. When it no longer
knows what became of an operation (info), its process is done for: the worker goes on as process
+ concurrency, with a new client.

Source: jepsen.generator.interpreter and Maelstrom's core.clj.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from tidings.checker.history import Event
from tidings.types import Json
from tidings.workbench.client import Connection, KafkaClient
from tidings.workbench.cluster import Cluster
from tidings.workbench.message_log import MESSAGES, MessageLog
from tidings.workbench.nemesis import haunt, make_nemesis
from tidings.workbench.network import Latency, Network, Tap, Traffic, default_services
from tidings.workbench.operations import Operation, Recorder
from tidings.workbench.processes import NodeFailed, first_failure
from tidings.workbench.progress import tell_target
from tidings.workbench.schedule import plan_fault
from tidings.workbench.settings import CLIENT_TIMEOUT_S, Settings
from tidings.workbench.workload import FinalPolls, KafkaWorkload

FINAL_POLL_INTERVAL_S: Final = 0.2
"""The mean time between two final polls of one worker."""

CATCH_UP_S: Final = 0.05
"""How late operations may be and still be made up for: a timer's error, not a lack of workers."""

Say = Callable[[str], None]
"""Takes a line for whoever watches."""


class Spectator(Protocol):
    """Whoever watches a run."""

    def say(self, line: str) -> None:
        """Take a step of the run, or a part of its report."""

    def echo(self, line: str) -> None:
        """Take a line of a node's stderr."""

    def begin(self, settings: Settings, traffic: Traffic) -> None:
        """Learn that operations begin; `traffic` goes on counting."""

    def observe(self, event: Event) -> None:
        """Take an event of the history, as it happens."""

    def end(self) -> None:
        """Learn that nothing more will be observed."""


class Interrupted(Exception):
    """Whoever watches wants the run to end now."""


@dataclass(slots=True)
class Outcome:
    """What a run brought to light."""

    history: list[Event] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    main_phase_s: float = 0.0
    """How long operations were asked for, without the quiet time and the final polls."""
    main_phase_operations: int = 0
    is_interrupted: bool = False
    """Whether it was ended early: then there were no final polls."""
    failure: str | None = None
    """Why the run could not be carried out, if it could not."""


async def run(settings: Settings, *, spectator: Spectator, interrupt: asyncio.Event) -> Outcome:
    """Carry out one run. Every process it started is gone when it returns or raises.

    Args:
        settings: What to do; every message is written to `MESSAGES` in its store.
        spectator: Watches.
        interrupt: Ends the run at once when it is set.
    """
    outcome = Outcome()
    messages = MessageLog(settings.store / MESSAGES, asyncio.get_running_loop().time)
    network = _make_network(settings, messages)
    outcome.traffic = network.traffic
    cluster = Cluster(settings, network, spectator.echo if settings.log_stderr else None)

    def begin() -> None:
        messages.begin()
        spectator.begin(settings, network.traffic)

    try:
        async with asyncio.TaskGroup() as group:
            guards = [
                group.create_task(cluster.watch()),
                group.create_task(_raise_when_set(interrupt)),
            ]
            await Run(
                settings,
                network,
                cluster,
                outcome,
                spectator.say,
                begin=begin,
                observe=spectator.observe,
            ).carry_out()
            for guard in guards:
                guard.cancel()
    except* Interrupted:
        outcome.is_interrupted = True
    except* NodeFailed as failures:
        outcome.failure = str(first_failure(failures))
    finally:
        spectator.end()
        await cluster.stop()
        messages.close()
    return outcome


def _make_network(settings: Settings, tap: Tap) -> Network:
    seed = settings.seed
    return Network(
        services=default_services(seed),
        latency=Latency(
            Random(f"{seed}/latency"), settings.latency_distribution, settings.latency_ms
        ),
        rng=Random(f"{seed}/network"),
        call_later=asyncio.get_running_loop().call_later,
        tap=tap,
    )


async def _raise_when_set(interrupt: asyncio.Event) -> None:
    await interrupt.wait()
    raise Interrupted


class _Worker:
    """Performs operations, one at a time, under the number of its process."""

    def __init__(self, index: int, make_client: Callable[[], KafkaClient]) -> None:
        self.process = index
        self._make_client = make_client
        self.client = make_client()

    def replace_client(self, concurrency: int) -> None:
        self.client.close()
        self.client = self._make_client()
        self.process += concurrency


class Run:
    """The phases of a run on a cluster that is not started yet.

    Args:
        settings: What to do.
        network: What the cluster and the clients use.
        cluster: The nodes.
        outcome: Is filled in as things happen.
        say: Takes a line for each step.
        begin: Called when the nodes are up and operations begin.
        observe: Takes every event of the history.
    """

    def __init__(
        self,
        settings: Settings,
        network: Network,
        cluster: Cluster,
        outcome: Outcome,
        say: Say,
        *,
        begin: Callable[[], None] | None = None,
        observe: Callable[[Event], None] | None = None,
    ) -> None:
        self._settings = settings
        self._network = network
        self._cluster = cluster
        self._outcome = outcome
        self._say = say
        self._begin = begin
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        # Apart, for how often a worker is chosen among how many depends on the nodes.
        self._gap_rng = Random(f"{settings.seed}/gaps")
        self._worker_rng = Random(f"{settings.seed}/workers")
        self._workload = KafkaWorkload(
            Random(f"{settings.seed}/workload"),
            concurrency=settings.concurrency,
            max_writes_per_key=settings.max_writes_per_key,
        )
        self._idle: list[_Worker] = []
        self._has_idle = asyncio.Event()

    async def carry_out(self) -> None:
        """Do everything but stop the nodes."""
        settings = self._settings
        command = " ".join(settings.command)
        self._say(f"starting {settings.node_count} nodes, seed {settings.seed}: {command}")
        await self._cluster.start()
        self._recorder = Recorder(self._loop.time, self._observe)
        self._outcome.history = self._recorder.events
        if self._begin is not None:
            self._begin()
        self._idle = [
            _Worker(index, self._client_maker(index)) for index in range(settings.concurrency)
        ]
        workers = list(self._idle)
        self._say(f"{settings.time_limit_s:g} s of operations")
        await self._main_phase()
        self._say(f"{settings.recovery_s:g} s of quiet, then final polls")
        await asyncio.sleep(settings.recovery_s)
        await self._final_phase(workers)

    def _client_maker(self, index: int) -> Callable[[], KafkaClient]:
        node_ids = self._settings.node_ids
        node_id = node_ids[index % len(node_ids)]
        return lambda: KafkaClient(Connection(self._network, node_id), timeout_s=CLIENT_TIMEOUT_S)

    async def _main_phase(self) -> None:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            started_s = self._loop.time()
            for fault in self._settings.faults:
                nemesis = make_nemesis(
                    fault, network=self._network, cluster=self._cluster, note=self._note
                )
                spells = plan_fault(fault, self._settings)
                group.create_task(haunt(nemesis, spells, started_s, over))
            try:
                await self._ask(group, started_s)
            finally:
                self._outcome.main_phase_s = self._loop.time() - started_s
            over.set()

    async def _ask(self, group: asyncio.TaskGroup, started_s: float) -> None:
        """Have idle workers perform operations at the asked rate until the time is over."""
        end_s = started_s + self._settings.time_limit_s
        next_s = started_s
        try:
            async with asyncio.timeout_at(end_s):
                while self._settings.rate:
                    await asyncio.sleep(next_s - self._loop.time())
                    worker = await self._take_idle()
                    now_s = self._loop.time()
                    operation = self._workload.next_operation(now_s - started_s)
                    group.create_task(self._perform_and_return(worker, operation))
                    gap_s = self._gap_rng.uniform(0, 2 / self._settings.rate)
                    next_s = max(next_s, now_s - CATCH_UP_S) + gap_s
                await asyncio.sleep(self._settings.time_limit_s)
        except TimeoutError:
            return

    async def _take_idle(self) -> _Worker:
        while not self._idle:
            self._has_idle.clear()
            await self._has_idle.wait()
        return self._idle.pop(self._worker_rng.randrange(len(self._idle)))

    async def _perform_and_return(self, worker: _Worker, operation: Operation) -> None:
        self._outcome.main_phase_operations += 1
        self._workload.observe(await self._perform(worker, operation))
        self._idle.append(worker)
        self._has_idle.set()

    async def _perform(self, worker: _Worker, operation: Operation) -> Event:
        self._recorder.invoke(worker.process, operation)
        completion = await worker.client.perform(operation)
        event = self._recorder.complete(worker.process, operation, completion)
        if event.type == "info":
            worker.replace_client(self._settings.concurrency)
        return event

    async def _final_phase(self, workers: list[_Worker]) -> None:
        targets = self._workload.highest_offsets
        end_s = self._loop.time() + self._settings.final_polls_s
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(self._poll_finally(worker, FinalPolls(targets), end_s))

    async def _poll_finally(self, worker: _Worker, polls: FinalPolls, end_s: float) -> None:
        rng = Random(f"{self._settings.seed}/final/{worker.process}")
        opening = iter(polls.opening)
        while not polls.is_done and self._loop.time() < end_s:
            operation = next(opening, Operation("poll", [["poll"]]))
            polls.observe(await self._perform(worker, operation))
            if operation.f == "poll":
                await asyncio.sleep(rng.uniform(0, 2 * FINAL_POLL_INTERVAL_S))

    def _note(self, f: str, value: Json) -> None:
        event = self._recorder.note(f, value)
        self._say(f"{event.time / 1e9:6.1f} s  {f} {tell_target(value)}".rstrip())
