"""Judges what became of records: each at one offset, one at each offset, and none lost.

    inconsistent-offsets    one offset was seen to hold different messages
    duplicate               one message was seen at several offsets
    lost-write              a later record was polled, but never this one
    unseen                  an acknowledged record that nobody had polled by the end

A send counts where it certainly took effect: it was acknowledged, or something it sent was polled.
"""

from tidings.checker.evidence import Evidence
from tidings.checker.operations import TRANSFERS, Message, Operation, describe, plain
from tidings.checker.verdict import Anomaly, Findings
from tidings.checker.version_order import VersionOrder


def judge_records(evidence: Evidence, findings: Findings) -> None:
    """Report every anomaly of this module."""
    for key, order in evidence.orders.items():
        _judge_offsets(key, order, findings)
        _judge_duplicates(key, order, findings)
        _judge_lost_writes(evidence, key, order, findings)
    _judge_unseen(evidence, findings)
    _judge_last_polls(evidence, findings)


def _judge_offsets(key: str, order: VersionOrder, findings: Findings) -> None:
    for offset in order.log.rivals_at:
        if findings.admit("inconsistent-offsets"):
            held = order.log.messages_at(offset)
            findings.keep(
                Anomaly(
                    name="inconsistent-offsets",
                    key=key,
                    sentence=f"offset {offset} of key {describe(key)} was seen to hold message "
                    + " and message ".join(map(describe, held)),
                    offsets=[offset],
                    messages=[plain(message) for message in held],
                    event_indexes=list(dict.fromkeys(held.values())),
                )
            )


def _judge_duplicates(key: str, order: VersionOrder, findings: Findings) -> None:
    if not order.log.rivals_at and len(order.rank_of) == len(order.messages):
        return
    ranks_of: dict[Message, list[int]] = {}
    for rank, message in order.records():
        ranks_of.setdefault(message, []).append(rank)
    for message, ranks in ranks_of.items():
        if len(ranks) > 1 and findings.admit("duplicate"):
            offsets = [order.offsets[rank] for rank in ranks]
            proof = [order.log.messages_at(offset)[message] for offset in offsets]
            findings.keep(
                Anomaly(
                    name="duplicate",
                    key=key,
                    sentence=f"message {describe(message)} of key {describe(key)} was seen at "
                    f"{len(offsets)} offsets: {', '.join(map(str, offsets[:8]))}"
                    + (" …" if len(offsets) > 8 else ""),
                    offsets=offsets,
                    messages=[plain(message)],
                    event_indexes=list(dict.fromkeys(proof)),
                )
            )


def _judge_lost_writes(
    evidence: Evidence, key: str, order: VersionOrder, findings: Findings
) -> None:
    """Report messages that took effect below the highest polled record, but were never polled.

    A message at several offsets counts as polled at its first, and as missing from its last only,
    so that a duplicate alone makes no lost write.
    """
    polled = evidence.polled.get(key, {})
    first_rank: dict[Message, int] = {}
    last_rank: dict[Message, int] = {}
    for rank, message in order.records():
        first_rank.setdefault(message, rank)
        last_rank[message] = rank
    reached = max((m for m in first_rank if m in polled), key=first_rank.__getitem__, default=None)
    if reached is None:
        return
    senders = evidence.sender_of.get(key, {})
    reader: Operation | None = None
    for message, rank in last_rank.items():
        if rank > first_rank[reached] or message in polled:
            continue
        sender = senders.get(message)
        if sender is None or not evidence.took_effect(sender):
            continue
        if findings.admit("lost-write"):
            reader = reader or evidence.first_poll_of(key, reached)
            assert reader is not None, "a polled message was polled by an operation that ended ok"
            offsets = [order.offsets[rank], order.offsets[first_rank[reached]]]
            findings.keep(
                Anomaly(
                    name="lost-write",
                    key=key,
                    sentence=f"message {describe(message)}, sent to key {describe(key)} at offset "
                    f"{offsets[0]}, was never polled, though process {reader.process} polled "
                    f"message {describe(reached)} at offset {offsets[1]}",
                    offsets=offsets,
                    messages=[plain(message), plain(reached)],
                    event_indexes=[sender.completion.index, reader.completion.index],
                )
            )


def _judge_unseen(evidence: Evidence, findings: Findings) -> None:
    for operation in evidence.operations:
        for key, batch in operation.sends.items() if operation.type == "ok" else ():
            polled = evidence.polled.get(key, {})
            for message in batch.messages:
                if message not in polled and findings.admit("unseen"):
                    findings.keep(
                        Anomaly(
                            name="unseen",
                            key=key,
                            sentence=f"message {describe(message)}, which process "
                            f"{operation.process} sent to key {describe(key)}, was acknowledged "
                            "but never polled by anybody",
                            offsets=batch.offset_of(message),
                            messages=[plain(message)],
                            event_indexes=[operation.completion.index],
                        )
                    )


def _judge_last_polls(evidence: Evidence, findings: Findings) -> None:
    """Report what Jepsen also counts as unseen, so that verdicts agree.

    It subtracts polled from sent messages key by key, one operation after the other, and leaves the
    polled ones in place where the key is new. Only after the last operation does that show: for a
    key to which no send was acknowledged, and which no operation that ended ok had polled before.
    """
    acknowledged = [op for op in evidence.operations if op.type == "ok" and op.f in TRANSFERS]
    if not acknowledged:
        return
    last = acknowledged.pop()
    new_keys = {key: batch for key, batch in last.polls.items() if key not in last.sends}
    for operation in acknowledged:
        for key in (*operation.sends, *operation.polls):
            new_keys.pop(key, None)
    for key, batch in new_keys.items():
        for message in batch.messages:
            if findings.admit("unseen"):
                sentence = (
                    f"message {describe(message)} of key {describe(key)} was polled by process "
                    f"{last.process} in the very last operation only, and no send to that key was "
                    "ever acknowledged"
                )
                findings.keep(
                    Anomaly(
                        name="unseen",
                        key=key,
                        sentence=sentence,
                        offsets=batch.offset_of(message),
                        messages=[plain(message)],
                        event_indexes=[last.completion.index],
                    )
                )
