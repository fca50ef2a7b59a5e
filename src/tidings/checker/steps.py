"""Judges a step from one record of a key to the next: it may skip records, or go back.

Polls and sends, within one operation and between two of a process, are all such steps.
"""

import itertools
from collections.abc import Iterator

from tidings.checker.operations import Message, Operation, describe, plain
from tidings.checker.verdict import Anomaly
from tidings.checker.version_order import VersionOrder

RECORDS_SHOWN_MAX = 32
"""How many skipped records an anomaly lists."""

_RECORDS_NAMED_MAX = 3


def unusual_steps(
    order: VersionOrder, messages: list[Message]
) -> Iterator[tuple[Message, Message, int]]:
    """Yield (from, to, delta) for neighbours in `messages` that are not neighbours in the log."""
    ranks = [order.rank_of.get(message) for message in messages]
    first = ranks[0] if ranks else None
    if first is not None and ranks == list(range(first, first + len(ranks))):
        return
    for earlier, later in itertools.pairwise(messages):
        delta = order.delta(earlier, later)
        if delta != 1:
            yield earlier, later, delta


def skip(
    name: str,
    key: str,
    order: VersionOrder,
    step: tuple[Message, Message],
    operations: list[Operation],
) -> Anomaly:
    """Describe a step over records that are known to exist."""
    earlier, later = (order.rank_of[message] for message in step)
    skipped = range(earlier + 1, later)
    named = [_name_record(order, rank) for rank in skipped[:_RECORDS_NAMED_MAX]]
    if len(skipped) > len(named):
        named.append(f"{len(skipped) - len(named)} more")
    return Anomaly(
        name=name,
        key=key,
        sentence=(
            f"process {operations[-1].process} {_verb(name)} key {describe(key)} at offset "
            f"{order.offsets[earlier]} and next at {order.offsets[later]}: "
            f"{', '.join(named)} {'was' if len(skipped) == 1 else 'were'} skipped"
        ),
        offsets=[order.offsets[rank] for rank in skipped[:RECORDS_SHOWN_MAX]],
        messages=[plain(order.messages[rank]) for rank in skipped[:RECORDS_SHOWN_MAX]],
        event_indexes=_indexes(operations, order, [skipped[0]]),
    )


def step_back(
    name: str,
    key: str,
    order: VersionOrder,
    step: tuple[Message, Message],
    operations: list[Operation],
) -> Anomaly:
    """Describe a step to a record at the same place or before it."""
    earlier, later = (order.rank_of[message] for message in step)
    return Anomaly(
        name=name,
        key=key,
        sentence=(
            f"process {operations[-1].process} {_verb(name)} key {describe(key)}: "
            f"{_name_record(order, earlier)}, then {_name_record(order, later)}, which "
            f"{'is the same' if earlier == later else 'comes before it'} in the log"
        ),
        offsets=[order.offsets[earlier], order.offsets[later]],
        messages=[plain(message) for message in step],
        event_indexes=_indexes(operations, order, [earlier, later]),
    )


def _verb(name: str) -> str:
    return "sent to" if name.endswith("send") or "send-" in name else "polled"


def _name_record(order: VersionOrder, rank: int) -> str:
    return f"offset {order.offsets[rank]} (message {describe(order.messages[rank])})"


def _indexes(operations: list[Operation], order: VersionOrder, ranks: list[int]) -> list[int]:
    """Return the events of a step, and those that show where its records stand."""
    of_step = [operation.completion.index for operation in operations]
    return list(dict.fromkeys(of_step + [order.witness(rank) for rank in ranks]))
