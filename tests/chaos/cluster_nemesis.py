"""Carries out a plan of faults on a cluster, and notes in the history when each begins and ends."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import cluster_plan as kinds
from chaos_broker import START_PATIENCE_S
from chaos_history import NEMESIS, Recorder
from cluster_figures import START, STOP
from cluster_plan import Fault
from cluster_servers import Cluster, Member
from databases import Server
from hosts import Host

LOOK_EVERY_S = 0.2
"""Between two looks whether all brokers that should run do."""


class Nemesis:
    """Lets a cluster suffer."""

    def __init__(self, cluster: Cluster, recorder: Recorder, say: Callable[[str], None]) -> None:
        """`say` is told as well of each fault that begins or ends."""
        self._cluster = cluster
        self._recorder = recorder
        self._say = say
        # Brokers that are meant not to run, by name.
        self._down: dict[str, None] = {}
        self._carry_out: dict[str, Callable[[Fault], AbstractContextManager[str]]] = {
            kinds.KILL_BROKERS: self._kill_brokers,
            kinds.PAUSE_BROKERS: self._pause_brokers,
            kinds.STOP_BROKERS: self._stop_brokers,
            kinds.CUT_BROKERS: self._cut_brokers,
            kinds.CUT_CLIENTS: self._cut_clients,
            kinds.CUT_ORDER: self._cut_order,
            kinds.CUT_BLOBS: self._cut_blobs,
            kinds.SHIFT_CLOCKS: self._shift_clocks,
            kinds.KILL_ORDER: self._kill_order,
            kinds.PAUSE_ORDER: self._pause_order,
            kinds.ISOLATE_ORDER: self._isolate_order,
            kinds.KILL_BLOBS: self._kill_blobs,
            kinds.PAUSE_BLOBS: self._pause_blobs,
        }

    def run(self, plan: Sequence[Fault]) -> None:
        """Carry out a plan; nothing is wrong any more when this returns, or raises."""
        numbered = list(enumerate(plan))
        steps = [(fault.begin_s, number, fault) for number, fault in numbered]
        ends = [(fault.end_s, number, fault) for number, fault in numbered]
        begin_s = time.perf_counter()
        with contextlib.ExitStack() as at_last:
            suffered: dict[int, contextlib.ExitStack] = {}
            for at_s, number, fault in sorted(steps + ends, key=lambda step: step[:2]):
                self._look_after_brokers_until(begin_s + at_s)
                if number in suffered:
                    suffered.pop(number).close()
                else:
                    suffered[number] = at_last.enter_context(contextlib.ExitStack())
                    suffered[number].enter_context(self._suffer(number, fault))

    @contextmanager
    def _suffer(self, number: int, fault: Fault) -> Iterator[None]:
        with self._carry_out[fault.kind](fault) as on:
            value = {"number": number, "kind": fault.kind, "on": on}
            self._recorder.note("info", NEMESIS, START, value)
            self._say(f"begins  {fault.kind}: {on}")
            yield
        self._recorder.note("info", NEMESIS, STOP, value)
        self._say(f"ends    {fault.kind}: {on}")

    def _look_after_brokers_until(self, end_s: float) -> None:
        while (left_s := end_s - time.perf_counter()) > 0:
            self.look_after_brokers()
            time.sleep(min(left_s, LOOK_EVERY_S))

    def look_after_brokers(self) -> None:
        """Start each broker that ended by itself, which is a finding if it had been ready."""
        for member in self._cluster.members:
            status = member.broker.exit_status()
            if member.name not in self._down and status is not None:
                if member.broker.is_ready_within(0.0):
                    self._recorder.complain(
                        f"{member.name} ended by itself, with {status}: see its log"
                    )
                member.broker.start()

    def await_all(self) -> None:
        """Wait until all servers are ready, and all brokers, or complain."""
        for server in self._cluster.order:
            server.await_ready()
        self._cluster.blobs.await_ready()
        end_s = time.perf_counter() + START_PATIENCE_S
        for member in self._cluster.members:
            while not member.broker.is_ready_within(LOOK_EVERY_S):
                self.look_after_brokers()
                if time.perf_counter() > end_s:
                    self._recorder.complain(f"{member.name} was not ready in {START_PATIENCE_S} s")
                    break

    def _brokers(self, fault: Fault) -> list[Member]:
        return [self._cluster.members[number] for number in fault.brokers]

    # Processes

    @contextmanager
    def _kill_brokers(self, fault: Fault) -> Iterator[str]:
        brokers = self._brokers(fault)
        self._down |= dict.fromkeys(_names(brokers))
        for member in brokers:
            member.broker.kill()
        yield " ".join(_names(brokers))
        self._start(brokers)

    @contextmanager
    def _stop_brokers(self, fault: Fault) -> Iterator[str]:
        brokers = self._brokers(fault)
        self._down |= dict.fromkeys(_names(brokers))
        for member in brokers:
            status = member.broker.terminate()
            if status != 0:
                self._recorder.complain(f"{member.name} ended with {status} after SIGTERM")
        yield " ".join(_names(brokers))
        self._start(brokers)

    def _start(self, brokers: Sequence[Member]) -> None:
        for member in brokers:
            member.broker.start()
            del self._down[member.name]

    @contextmanager
    def _pause_brokers(self, fault: Fault) -> Iterator[str]:
        brokers = self._brokers(fault)
        for member in brokers:
            member.broker.pause()
        yield " ".join(_names(brokers))
        for member in brokers:
            member.broker.resume()

    @contextmanager
    def _shift_clocks(self, fault: Fault) -> Iterator[str]:
        brokers = self._brokers(fault)
        for member in brokers:
            member.clock.write_text(f"{fault.shift_s:+d}")
        yield f"{' '.join(_names(brokers))} by {fault.shift_s:+d} s"
        for member in brokers:
            member.clock.write_text("+0")

    # Ways

    @contextmanager
    def _cut(self, ways: Sequence[tuple[Host, Host]], on: str) -> Iterator[str]:
        for sender, receiver in ways:
            self._cluster.network.cut(sender, receiver)
        yield on
        for sender, receiver in ways:
            self._cluster.network.mend(sender, receiver)

    def _cut_from(self, fault: Fault, others: Sequence[Host]) -> AbstractContextManager[str]:
        """Cut brokers from those of the other hosts that are not themselves."""
        brokers = self._brokers(fault)
        ways = [(member.host, other) for member in brokers for other in others]
        ways = [(sender, receiver) for sender, receiver in ways if sender != receiver]
        if not fault.one_way:
            ways += [(receiver, sender) for sender, receiver in ways]
        return self._cut(ways, " ".join(_names(brokers)) + (" one way" if fault.one_way else ""))

    def _cut_brokers(self, fault: Fault) -> AbstractContextManager[str]:
        return self._cut_from(fault, [member.host for member in self._cluster.members])

    def _cut_clients(self, fault: Fault) -> AbstractContextManager[str]:
        return self._cut_from(fault, [self._cluster.network.here])

    def _cut_order(self, fault: Fault) -> AbstractContextManager[str]:
        return self._cut_from(fault, [server.host for server in self._cluster.order])

    def _cut_blobs(self, fault: Fault) -> AbstractContextManager[str]:
        return self._cut_from(fault, [self._cluster.blobs.host])

    def _isolate_order(self, fault: Fault) -> AbstractContextManager[str]:
        del fault
        leader = self._cluster.order_leader()
        others = [server.host for server in self._cluster.order if server is not leader]
        others += [member.host for member in self._cluster.members]
        ways = [(leader.host, other) for other in others]
        ways += [(receiver, sender) for sender, receiver in ways]
        return self._cut(ways, leader.address)

    # Stores

    def _kill_order(self, fault: Fault) -> AbstractContextManager[str]:
        del fault
        return _killed(self._cluster.order_leader())

    def _pause_order(self, fault: Fault) -> AbstractContextManager[str]:
        del fault
        return _paused(self._cluster.order_leader())

    def _kill_blobs(self, fault: Fault) -> AbstractContextManager[str]:
        del fault
        return _killed(self._cluster.blobs)

    def _pause_blobs(self, fault: Fault) -> AbstractContextManager[str]:
        del fault
        return _paused(self._cluster.blobs)


@contextmanager
def _killed(server: Server) -> Iterator[str]:
    server.kill()
    yield server.address
    server.begin_start()


@contextmanager
def _paused(server: Server) -> Iterator[str]:
    server.pause()
    yield server.address
    server.resume()


def _names(members: Sequence[Member]) -> list[str]:
    return [member.name for member in members]
