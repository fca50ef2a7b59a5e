"""Judges what consumers were given: in order, without gaps, and only what was really sent.

    int-poll-skip, int-nonmonotonic-poll    within one operation
    poll-skip, nonmonotonic-poll            from one operation of a process to its next
    G1a                                     a poll that ended ok returned what a failed send sent
    precommitted-read                       an operation polled what it sent itself
    phantom                                 a poll returned what nobody sent

Between operations a process's position counts only while the key stays assigned to it.
"""

from tidings.checker.evidence import Evidence
from tidings.checker.operations import Message, Operation, describe, plain
from tidings.checker.steps import skip, step_back, unusual_steps
from tidings.checker.verdict import Anomaly, Findings


def judge_polls(evidence: Evidence, findings: Findings) -> None:
    """Report every anomaly of this module."""
    _judge_within_operations(evidence, findings)
    _judge_between_operations(evidence, findings)
    _judge_phantoms(evidence, findings)
    _judge_aborted_reads(evidence, findings)
    _judge_precommitted_reads(evidence, findings)


def _judge_within_operations(evidence: Evidence, findings: Findings) -> None:
    for operation in evidence.operations:
        for key, batch in operation.polls.items():
            order = evidence.orders.get(key)
            if order is None:
                continue
            for earlier, later, delta in unusual_steps(order, batch.messages):
                name, tell = (
                    ("int-poll-skip", skip) if delta > 1 else ("int-nonmonotonic-poll", step_back)
                )
                if findings.admit(name):
                    findings.keep(tell(name, key, order, (earlier, later), [operation]))


def _judge_between_operations(evidence: Evidence, findings: Findings) -> None:
    """Follow each process's position in each key.

    Only a poll that ended ok moves it; an assignment that ended ok or unknown forgets the keys it
    leaves out. A poll that names a key but returns nothing forgets the key, too.
    """
    last_polls: dict[int, dict[str, Operation]] = {}
    for operation in evidence.operations:
        last_poll = last_polls.setdefault(operation.process, {})
        if operation.f in ("assign", "subscribe"):
            if operation.type != "fail":
                last_polls[operation.process] = {
                    key: last for key, last in last_poll.items() if key in operation.assigned
                }
            continue
        for key in operation.polls:
            if key in last_poll:
                _judge_next_poll(evidence, findings, key, last_poll[key], operation)
        if operation.type == "ok":
            last_poll.update(dict.fromkeys(operation.polls, operation))


def _judge_next_poll(
    evidence: Evidence, findings: Findings, key: str, last: Operation, this: Operation
) -> None:
    order = evidence.orders.get(key)
    before, after = last.polls[key].messages, this.polls[key].messages
    if order is None or not before or not after:
        return
    step = (before[-1], after[0])
    delta = order.delta(*step)
    if delta == 1:
        return
    name, tell = ("poll-skip", skip) if delta > 1 else ("nonmonotonic-poll", step_back)
    if findings.admit(name):
        findings.keep(tell(name, key, order, step, [last, this]))


def _judge_phantoms(evidence: Evidence, findings: Findings) -> None:
    for operation in evidence.operations:
        for key, batch in operation.polls.items():
            senders = evidence.sender_of.get(key, {})
            unsent = [message for message in batch.messages if message not in senders]
            for message in unsent:
                if findings.admit("phantom"):
                    sentence = (
                        f"process {operation.process} polled message {describe(message)} from key "
                        f"{describe(key)}, which nobody sent there"
                    )
                    findings.keep(
                        _of_record(
                            "phantom",
                            sentence,
                            poll=operation,
                            key=key,
                            message=message,
                            proof=[operation],
                        )
                    )


def _judge_aborted_reads(evidence: Evidence, findings: Findings) -> None:
    failed: dict[str, dict[Message, Operation]] = {}
    for operation in evidence.operations:
        if operation.type == "fail":
            for key, batch in operation.sends.items():
                failed.setdefault(key, {}).update(dict.fromkeys(batch.messages, operation))
    for operation in evidence.operations if failed else ():
        for key, batch in operation.polls.items() if operation.type == "ok" else ():
            failed_in_key = failed.get(key, {})
            for message in batch.messages:
                sender = failed_in_key.get(message)
                if sender is not None and findings.admit("G1a"):
                    sentence = (
                        f"process {operation.process} polled message {describe(message)} from key "
                        f"{describe(key)}, though process {sender.process}'s send of it failed"
                    )
                    findings.keep(
                        _of_record(
                            "G1a",
                            sentence,
                            poll=operation,
                            key=key,
                            message=message,
                            proof=[sender, operation],
                        )
                    )


def _judge_precommitted_reads(evidence: Evidence, findings: Findings) -> None:
    for operation in evidence.operations:
        for key, sent in operation.sends.items() if operation.polls else ():
            polled = operation.polls.get(key)
            own = [m for m in sent.messages if polled is not None and m in polled.messages]
            for message in own:
                if findings.admit("precommitted-read"):
                    sentence = (
                        f"process {operation.process} polled message {describe(message)} from key "
                        f"{describe(key)} in the transaction that sent it"
                    )
                    findings.keep(
                        _of_record(
                            "precommitted-read",
                            sentence,
                            poll=operation,
                            key=key,
                            message=message,
                            proof=[operation],
                        )
                    )


def _of_record(
    name: str,
    sentence: str,
    *,
    poll: Operation,
    key: str,
    message: Message,
    proof: list[Operation],
) -> Anomaly:
    """Describe an anomaly of one record that `poll` returned."""
    return Anomaly(
        name=name,
        key=key,
        sentence=sentence,
        offsets=poll.polls[key].offset_of(message),
        messages=[plain(message)],
        event_indexes=[operation.completion.index for operation in proof],
    )
