"""Judges the order in which sends took their places.

    int-send-skip, int-nonmonotonic-send    within one operation
    nonmonotonic-send                       from one operation of a process to its next

Between operations only going back is judged: other processes' records may well come in between.
"""

from tidings.checker.evidence import Evidence
from tidings.checker.operations import Operation
from tidings.checker.steps import skip, step_back, unusual_steps
from tidings.checker.verdict import Findings


def judge_sends(evidence: Evidence, findings: Findings) -> None:
    """Report every anomaly of this module."""
    _judge_within_operations(evidence, findings)
    _judge_between_operations(evidence, findings)


def _judge_within_operations(evidence: Evidence, findings: Findings) -> None:
    for operation in evidence.operations:
        for key, batch in operation.sends.items():
            order = evidence.orders.get(key)
            if order is None or len(batch.messages) == 1:
                continue
            for earlier, later, delta in unusual_steps(order, batch.messages):
                name, tell = (
                    ("int-send-skip", skip) if delta > 1 else ("int-nonmonotonic-send", step_back)
                )
                if findings.admit(name):
                    findings.keep(tell(name, key, order, (earlier, later), [operation]))


def _judge_between_operations(evidence: Evidence, findings: Findings) -> None:
    """Follow each process's last send to each key; an assignment forgets the keys it leaves out."""
    last_sends: dict[int, dict[str, Operation]] = {}
    for operation in evidence.operations:
        if operation.type == "fail":
            continue
        last_send = last_sends.setdefault(operation.process, {})
        if operation.f in ("assign", "subscribe"):
            last_sends[operation.process] = {
                key: last for key, last in last_send.items() if key in operation.assigned
            }
            continue
        for key in operation.sends:
            if key in last_send:
                _judge_next_send(evidence, findings, key, last_send[key], operation)
            last_send[key] = operation


def _judge_next_send(
    evidence: Evidence, findings: Findings, key: str, last: Operation, this: Operation
) -> None:
    order = evidence.orders.get(key)
    if order is None:
        return
    step = (last.sends[key].messages[-1], this.sends[key].messages[0])
    if order.delta(*step) < 1 and findings.admit("nonmonotonic-send"):
        findings.keep(step_back("nonmonotonic-send", key, order, step, [last, this]))
