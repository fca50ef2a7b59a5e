"""Judges cycles: operations each of which must have come before the next, and so before itself.

Three things put one operation before another:

    wr          it sent a message that the other polled
    ww          it sent the message just before the other's in the version order (only on request)
    realtime    it ended ok before the other began

A cycle is named, as Elle names it, by what it needs: G0 is made of ww alone, G1c of ww and wr;
G0-realtime and G1c-realtime need real time, too. Beside each stands the consistency level that it
rules out (PL-1, PL-2, strong-PL-1, strong-PL-2), as `…-cycle-exists`. What a stronger finding
implies is not reported for the same group of entangled operations. Order within a process is part
of real time, so there are no `-process` variants; polls not having seen a later record (rw) are no
dependency in this workload.

Real time would be a quadratic number of edges. Here time itself is a chain of nodes, one for each
event: an operation leads to the moment at which it ended ok, each moment to the next, and the
moment at which an operation was invoked to the operation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidings.checker.components import Successors, components, shortest_cycle
from tidings.checker.evidence import Evidence
from tidings.checker.operations import TRANSFERS, Operation, describe
from tidings.checker.verdict import Anomaly, Findings

_EVENTS_SHOWN_MAX = 64
"""How many events of a group of entangled operations an anomaly lists."""


def judge_cycles(evidence: Evidence, findings: Findings, *, ww_deps: bool) -> None:
    """Report every cycle name that some group of entangled operations deserves."""
    if not ww_deps and not _has_transactions(evidence) and not _contradicts_time(evidence):
        return
    graph = _build_graph(evidence, ww_deps=ww_deps)
    for component in components(graph.time_nodes(), graph.successors):
        _Entangled(graph, component).judge(findings)


def _has_transactions(evidence: Evidence) -> bool:
    """Whether an operation both sends and polls: without, wr alone makes no cycle."""
    return any(operation.sends and operation.polls for operation in evidence.operations)


def _contradicts_time(evidence: Evidence) -> bool:
    """Whether a cycle exists, given that no operation both sends and polls.

    It does just if a poll ended ok before the send began whose message it returned. (Otherwise each
    send can be placed in time after its invocation and before the first poll that saw it, and every
    dependency leads forward.)
    """
    return any(
        sender is not None and operation.completed_at < sender.invoked_at
        for operation in evidence.operations
        if operation.type == "ok"
        for key, batch in operation.polls.items()
        for sender in map(evidence.sender_of.get(key, {}).get, batch.messages)
    )


@dataclass(slots=True)
class _Graph:
    """Operations and moments, and what leads from each to which others.

    Nodes are numbers: 2p is the moment of the event at place p in the history, 2p + 1 the operation
    that ended there (for one that never ended, a place beyond the history).
    """

    evidence: Evidence
    events_end: int
    """The place after the last invocation; nothing began after it."""
    operation_of: dict[int, Operation] = field(default_factory=dict)
    invoked: dict[int, list[int]] = field(default_factory=dict)
    """By moment, the operation that was invoked then."""
    wr: dict[int, list[int]] = field(default_factory=dict)
    ww: dict[int, list[int]] = field(default_factory=dict)

    def time_nodes(self) -> Sequence[int]:
        """Return every moment: each operation can be reached from one."""
        return range(0, 2 * self.events_end, 2)

    def successors(self, node: int) -> list[int]:
        """Follow everything."""
        if node & 1:
            return self.data_successors(node) + self._end_of(node)
        return self._moments_after(node)

    def data_successors(self, node: int) -> list[int]:
        """Follow ww and wr."""
        return self.ww_successors(node) + self.wr.get(node, [])

    def ww_successors(self, node: int) -> list[int]:
        """Follow ww."""
        return self.ww.get(node, [])

    def ww_and_time_successors(self, node: int) -> list[int]:
        """Follow ww and realtime."""
        if node & 1:
            return self.ww_successors(node) + self._end_of(node)
        return self._moments_after(node)

    def _end_of(self, node: int) -> list[int]:
        return [node - 1] if self.operation_of[node].type == "ok" else []

    def _moments_after(self, node: int) -> list[int]:
        following = [node + 2] if node + 2 < 2 * self.events_end else []
        return self.invoked.get(node, []) + following


def _node_of(operation: Operation) -> int:
    return 2 * operation.completed_at + 1


def _build_graph(evidence: Evidence, *, ww_deps: bool) -> _Graph:
    transfers = [operation for operation in evidence.operations if operation.f in TRANSFERS]
    events_end = 1 + max((operation.invoked_at for operation in transfers), default=0)
    graph = _Graph(evidence, events_end)
    for operation in transfers:
        node = _node_of(operation)
        graph.operation_of[node] = operation
        graph.invoked[2 * operation.invoked_at] = [node]
        for sender in _senders_to(evidence, operation):
            graph.wr.setdefault(_node_of(sender), []).append(node)
    if ww_deps:
        _link_versions(graph)
    return graph


def _senders_to(evidence: Evidence, reader: Operation) -> list[Operation]:
    """Return the other operations that sent what this one polled, each once."""
    senders: dict[Operation, None] = {}
    for key, batch in reader.polls.items():
        for sender in map(evidence.sender_of.get(key, {}).get, batch.messages):
            if sender is not None and sender is not reader:
                senders[sender] = None
    return list(senders)


def _link_versions(graph: _Graph) -> None:
    for key, order in graph.evidence.orders.items():
        sender_of = graph.evidence.sender_of.get(key, {})
        for message, sender in sender_of.items():
            rank = order.rank_of.get(message, 0)
            before = sender_of.get(order.messages[rank - 1]) if rank > 0 else None
            if before is not None and before is not sender:
                graph.ww.setdefault(_node_of(before), []).append(_node_of(sender))


@dataclass(slots=True)
class _Entangled:
    """Operations, and the moments between them, that all lead to one another."""

    graph: _Graph
    nodes: list[int]

    def judge(self, findings: Findings) -> None:
        """Report the strongest names that hold here."""
        graph = self.graph
        if self._report(graph.ww_successors, "G0", "PL-1", findings):
            return
        reported = self._report(graph.data_successors, "G1c", "PL-2", findings)
        reported |= self._report(
            graph.ww_and_time_successors, "G0-realtime", "strong-PL-1", findings
        )
        if not reported:
            self._report(graph.successors, "G1c-realtime", "strong-PL-2", findings)

    def _report(self, follow: Successors, cycle_name: str, level: str, findings: Findings) -> bool:
        """Report the level that is ruled out if `follow` makes a cycle here, and such a cycle."""
        inside = dict.fromkeys(self.nodes)
        narrowed = components(inside, lambda node: [to for to in follow(node) if to in inside])
        if not narrowed:
            return False
        smallest = min(narrowed, key=len)
        operations = [node for node in sorted(smallest) if node & 1]
        if findings.admit(cycle_name):
            cycle = shortest_cycle(operations[0], smallest, follow)
            findings.keep(_describe_cycle(self.graph, cycle_name, cycle))
        name = f"{level}-cycle-exists"
        if findings.admit(name):
            indexes = [self.graph.operation_of[node].completion.index for node in operations]
            findings.keep(
                Anomaly(
                    name=name,
                    sentence=f"{len(operations)} operations depend on each other in a circle, "
                    f"which {level} rules out",
                    event_indexes=indexes[:_EVENTS_SHOWN_MAX],
                )
            )
        return True


def _describe_cycle(graph: _Graph, name: str, cycle: list[int]) -> Anomaly:
    operations = [graph.operation_of[node] for node in cycle if node & 1]
    direct = dict.fromkeys(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    steps = []
    indexes: list[int] = []
    for before, after in zip(operations, [*operations[1:], operations[0]], strict=True):
        if (_node_of(before), _node_of(after)) in direct:
            steps.append(_describe_dependency(graph, before, after))
            indexes += [before.completion.index, after.completion.index]
        else:
            began = after.invocation.index
            steps.append(
                f"event {before.completion.index} ended before event {after.completion.index}'s "
                f"operation began (event {began})"
            )
            indexes += [before.completion.index, began, after.completion.index]
    return Anomaly(
        name=name,
        sentence=f"{'; '.join(steps)}: a cycle",
        event_indexes=list(dict.fromkeys(indexes)),
    )


def _describe_dependency(graph: _Graph, before: Operation, after: Operation) -> str:
    sender_of = graph.evidence.sender_of
    first, second = before.completion.index, after.completion.index
    if _node_of(after) in graph.ww_successors(_node_of(before)):
        return f"event {first} sent a message just before event {second} sent the next"
    for key, batch in after.polls.items():
        for message in batch.messages:
            if sender_of.get(key, {}).get(message) is before:
                sent = f"message {describe(message)} to key {describe(key)}"
                return f"event {first} sent {sent}, which event {second} polled"
    raise AssertionError("operations are linked because of a message or an order")
