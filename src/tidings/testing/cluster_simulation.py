"""One simulated run of a cluster of brokers, on the frame of `tidings.testing.simulation`.

start → anything may happen → heal → every broker serves → late calls land → every broker has
everything, and all have the same
"""

import asyncio
from typing import Final

from tidings.core.state import State
from tidings.testing.audit import digest
from tidings.testing.clients import within
from tidings.testing.cluster_clients import ClusterClients
from tidings.testing.cluster_nemesis import haunt_cluster
from tidings.testing.cluster_plan import ClusterPlan
from tidings.testing.cluster_world import ClusterWorld
from tidings.testing.group_audit import GroupReference
from tidings.testing.group_judge import GroupJudge
from tidings.testing.group_member import GroupMember, observe
from tidings.testing.process import Process, new_process_loop
from tidings.testing.reference import Held
from tidings.testing.simulation import CONVERGE_S, QUIET_S, Outcome, carry_out
from tidings.testing.trace import Trace

GROUP_S: Final = 60.0
"""Within this time after every broker has given everything, the group has read it as well."""


def simulate_cluster(plan: ClusterPlan, *, keep_trace: bool = False) -> Outcome:
    """Carry out a run and judge it; never raises for what goes wrong in it."""
    outcome = Outcome(plan, Trace(is_kept=keep_trace))
    carry_out(outcome, new_process_loop, lambda: _run(plan, outcome))
    return outcome


async def _run(plan: ClusterPlan, outcome: Outcome) -> None:
    async with asyncio.TaskGroup() as tasks:
        world = ClusterWorld(plan, tasks, outcome.trace)
        clients = ClusterClients(world)
        outcome.history = clients.recorder.events
        judge = GroupJudge(outcome.trace)
        world.start_all()
        await tasks.create_task(clients.create_topic(), context=Process("operator").context)
        members = [
            tasks.create_task(
                GroupMember(world, judge, host).run(), name=host, context=Process(host).context
            )
            for host in world.member_hosts
        ] + [
            tasks.create_task(
                observe(world, judge, host),
                name=f"observer of {host}",
                context=Process("observer").context,
            )
            for host in world.hosts
        ]
        await _main_phase(world, clients)
        await _final_phase(world, clients)
        await _see_group_read_on(judge, clients)
        for member in members:
            member.cancel()
        await _converge(world)
        world.end()


async def _main_phase(world: ClusterWorld, clients: ClusterClients) -> None:
    plan = world.plan
    contexts = {host: Process(host).context for host in world.client_hosts}
    async with asyncio.TaskGroup() as workers:
        for number in range(plan.client_count):
            workers.create_task(
                clients.work(number), name=f"client {number}", context=contexts[f"c{number}"]
            )
        async with asyncio.TaskGroup() as hauntings:
            tasks = [
                hauntings.create_task(haunt_cluster(world, trouble, interval_s), name=trouble)
                for trouble, interval_s in plan.intervals_s.items()
            ]
            await asyncio.sleep(plan.time_limit_s)
            for task in tasks:
                task.cancel()
        clients.is_over = True
        world.heal()


async def _final_phase(world: ClusterWorld, clients: ClusterClients) -> None:
    context = Process("proofs").context
    async with asyncio.TaskGroup() as proofs:
        for broker in world.brokers:
            proofs.create_task(
                clients.prove_service(broker), name=f"proof {broker.host}", context=context.copy()
            )
    # Late calls still bring records; the judge wants them seen before the last operation.
    await asyncio.sleep(max(0, world.weather.calm_s - world.loop.time()) + QUIET_S)
    async with asyncio.TaskGroup() as readers:
        reading = [
            readers.create_task(clients.read_all(broker), context=context.copy())
            for broker in world.brokers
        ]
    found = [task.result() for task in reading]
    for broker, records in zip(world.brokers, found, strict=True):
        for key, there in records.items():
            first = found[0][key]
            differing = [at for at in there if at in first and there[at] != first[at]]
            assert not differing, f"{broker.host} has other records in {key} at {differing}"


async def _see_group_read_on(judge: GroupJudge, clients: ClusterClients) -> None:
    """Wait until the group has committed all that is there."""
    ends = {int(key): end for key, end in clients.ends.items()}
    async with within(GROUP_S, "the group reads everything"):
        while True:
            if all(judge.known.get(name, 0) >= end for name, end in ends.items()):
                return
            await asyncio.sleep(QUIET_S)


async def _converge(world: ClusterWorld) -> None:
    """Wait until all brokers know what the journal holds now, and compare what they hold."""
    await asyncio.sleep(QUIET_S)
    known = len(world.auditor.entries(world.storage))
    async with within(CONVERGE_S, "all brokers know the whole journal"):
        while True:
            states = _states(world)
            if all(state.next_slot >= known for state in states):
                break
            await asyncio.sleep(QUIET_S)
    held = [
        Held(broker.host, state.next_slot, digest(state))
        for broker, state in zip(world.brokers, states, strict=True)
    ]
    reference = GroupReference(world.storage, world.trace, world.plan.page_format)
    reference.check(world.auditor.entries(world.storage), world.auditor.read, held)


def _states(world: ClusterWorld) -> list[State]:
    """Return what each broker holds."""
    found = []
    for broker in world.brokers:
        assert broker.at_work is not None, f"{broker.host} is down though all healed"
        found.append(broker.at_work.broker.log.journal.state)
    return found
