"""One simulated run, from its plan to its verdict.

fill → start → anything may happen → heal → every node serves → late calls land → every node has
everything, and all have the same → the checker judges the history
"""

import asyncio
import contextlib
import gc
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.core.state import State
from tidings.engine.journal import CHECKPOINT_CELL, checkpoint_blob, checkpoint_slot
from tidings.testing.audit import digest
from tidings.testing.churn import CHURNERS, churn, read_what_stays
from tidings.testing.clients import Clients, within
from tidings.testing.loop import SimLoop, new_loop
from tidings.testing.nemesis import haunt
from tidings.testing.plan import Plan
from tidings.testing.reference import Held, Reference
from tidings.testing.trace import Trace
from tidings.testing.world import World

CONVERGE_S: Final = 30.0
"""Within this time after nothing is asked any more, all nodes have folded what the journal held."""

COLLECT_S: Final = 40.0
"""Within this time all that is dead is deleted, and so are orphans, unless settings are tiny."""

QUIET_S: Final = 1.0
"""Pauses at the end."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    trace: Trace
    failure: str | None = None
    """Why it failed, with the place in the code; None if it did not."""
    history: list[Event] = field(default_factory=list)
    events_before: int = 0
    """How many events of the history tell of records that were there before the nodes started."""
    simulated_s: float = 0.0

    @property
    def operation_count(self) -> int:
        """How many operations clients asked for, finally or not."""
        events = self.history[self.events_before :]
        return sum(1 for event in events if event.type == "invoke")

    @property
    def counts(self) -> Counter[str]:
        """How often each kind of operation, fault and outcome happened."""
        return self.trace.counts


def simulate(plan: Plan, *, keep_trace: bool = False) -> Outcome:
    """Carry out a run and judge it; never raises for what goes wrong in it."""
    outcome = Outcome(plan, Trace(is_kept=keep_trace))
    carry_out(outcome, new_loop, lambda: _run(plan, outcome.trace, outcome))
    return outcome


def carry_out(
    outcome: Outcome, make_loop: Callable[[], SimLoop], run: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Carry out `run` on a loop, and judge its history; what went wrong is in the outcome."""
    with without_collector():
        _carry_out(outcome, make_loop, run)


def _carry_out(
    outcome: Outcome, make_loop: Callable[[], SimLoop], run: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    # Not held by who looks for garbage afterwards.
    loop = make_loop()
    trace = outcome.trace
    trace.now_s = loop.time
    with _logs_into(trace) as complaints:
        try:
            loop.run_until_complete(run())
            _judge(outcome)
            assert not complaints, f"a node logged an error:\n{complaints[0]}"
        except Exception as error:  # noqa: BLE001 -- whatever went wrong is the outcome
            outcome.failure = "".join(traceback.format_exception(_single(error)))
            if complaints:
                outcome.failure = f"{complaints[0]}\n{outcome.failure}"
        finally:
            ended_s = outcome.simulated_s = loop.time()
            loop.cancel_all()
            loop.close()
            # Whoever keeps the trace is not to keep the loop, and with it the whole run.
            trace.now_s = lambda: ended_s


def _single(error: BaseException) -> BaseException:
    """Return what went wrong, without the groups of one that task groups put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class _Listener(logging.Handler):
    """Puts what nodes log into the trace. An error that a node survived is a failure here."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace
        self.complaints: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self._trace.is_kept:
            self._trace.add("log", record.levelname.lower(), record.getMessage())
        if record.levelno >= logging.ERROR:
            self.complaints.append(self.format(record))


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Keep garbage till the end: it is a megabyte a run, and looking for it costs a tenth.

    At the end only what is young is looked at; all that there is would cost as much again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _logs_into(trace: Trace) -> Iterator[list[str]]:
    logger = logging.getLogger("tidings")
    listener = _Listener(trace)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield listener.complaints
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates


async def _run(plan: Plan, trace: Trace, outcome: Outcome) -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(plan, tasks, trace)
        clients = Clients(world)
        outcome.history = clients.recorder.events
        if plan.design == "journal":
            for record in world.fill():
                clients.note_sent(*record)
            outcome.events_before = len(outcome.history)
        world.start_all()
        await _main_phase(world, clients)
        await _final_phase(world, clients)
        world.end()


async def _main_phase(world: World, clients: Clients) -> None:
    plan = world.plan
    async with asyncio.TaskGroup() as workers:
        for number in range(plan.client_count):
            workers.create_task(clients.work(number), name=f"client {number}")
        async with asyncio.TaskGroup() as hauntings:
            tasks = [
                hauntings.create_task(haunt(world, trouble, interval_s), name=trouble)
                for trouble, interval_s in plan.intervals_s.items()
            ]
            if plan.trims:
                tasks += [
                    hauntings.create_task(
                        churn(world, node, number), name=f"churn {node.node_id}/{number}"
                    )
                    for node in world.nodes
                    for number in range(CHURNERS)
                ]
            await asyncio.sleep(plan.time_limit_s)
            for task in tasks:
                task.cancel()
        clients.is_over = True
        world.heal()


async def _final_phase(world: World, clients: Clients) -> None:
    async with asyncio.TaskGroup() as proofs:
        for node in world.nodes:
            proofs.create_task(clients.prove_service(node), name=f"proof {node.node_id}")
    # Late calls still bring records; the judge wants them seen before the last operation.
    await asyncio.sleep(max(0, world.weather.calm_s - asyncio.get_running_loop().time()) + QUIET_S)
    found = [await clients.read_all(node) for node in world.nodes]
    if world.plan.design == "journal":
        if world.plan.collects_at_once:
            await _collect(world)
            # What was collected and rewritten meanwhile must not have taken anything along.
            found += [await clients.read_all(node) for node in world.nodes]
            for node in world.nodes:
                await read_what_stays(world, node)
        await _converge(world)
    for number, records in enumerate(found):
        for key, there in records.items():
            first = found[0][key]
            differing = [at for at in there if at in first and there[at] != first[at]]
            node = world.nodes[number % len(world.nodes)]
            assert not differing, f"{node.node_id} has other records in {key} at {differing}"


async def _collect(world: World) -> None:
    """Wait until nothing is left to collect (A7)."""
    async with within(COLLECT_S, "all that is dead is collected"):
        while True:
            logs = [node.log for node in world.nodes]
            if all(log is not None and _is_collected(log.state) for log in logs) and (
                not world.plan.collects_orphans_soon or _has_no_orphans(world)
            ):
                return
            await asyncio.sleep(QUIET_S)


def _is_collected(state: State) -> bool:
    collection = state.collection
    dead = [page for page in collection.dead_pages if page < state.durable_pages]
    return not dead and not collection.condemned


def _has_no_orphans(world: World) -> bool:
    """Whether nothing is stored, nor may be, that nothing names or that took another's place."""
    numbers = [node.log.state.blob_numbers for node in world.nodes if node.log is not None]
    if any(each.reserved or each.doomed for each in numbers):
        return False
    named = checkpoint_slot(world.storage.cell(CHECKPOINT_CELL))
    older = [checkpoint_blob(slot) for slot in range(named)]
    return all(
        world.storage.blob(name) is None or world.storage.has_come_back(name) for name in older
    )


async def _converge(world: World) -> None:
    """Wait until all nodes know what the journal holds now, and compare what they hold.

    Nodes without gossip and with tiny pages may go on collecting what was left of each other's
    collecting: the journal grows meanwhile, and nodes hold the fold of more or less of it.
    """
    await asyncio.sleep(QUIET_S)
    known = len(world.auditor.entries(world.storage))
    async with within(CONVERGE_S, "all nodes know the whole journal"):
        while True:
            states = _states(world)
            if all(state.next_slot >= known for state in states):
                break
            await asyncio.sleep(QUIET_S)
    assert not world.auditor.lost, f"A5: {world.auditor.lost[0]}"
    held = [
        Held(node.node_id, state.next_slot, digest(state))
        for node, state in zip(world.nodes, states, strict=True)
    ]
    reference = Reference(world.storage, world.trace, world.plan.page_format)
    reference.check(world.auditor.entries(world.storage), world.auditor.read, held)


def _states(world: World) -> list[State]:
    """Return what each node holds."""
    found = []
    for node in world.nodes:
        assert node.log is not None, f"{node.node_id} is down though all healed"
        found.append(node.log.journal.state)
    return found


def _judge(outcome: Outcome) -> None:
    verdict = check(outcome.history)
    sentences = [f"{name}: {verdict.anomalies[name][0].sentence}" for name in verdict.bad]
    assert verdict.valid, "; ".join(sentences)
    if outcome.trace.is_kept:
        outcome.trace.add("checker", "valid", f"{verdict.event_count} events")
