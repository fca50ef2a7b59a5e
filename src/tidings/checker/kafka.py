"""Judges a history of a Kafka-style log, as `jepsen.tests.kafka` does.

The anomalies are those of Jepsen's kafka workload, by its names; each judge's module says what its
own mean. Verdicts agree with Jepsen's, with these exceptions:

- A message that nobody sent makes Jepsen's checker stop with an error; here it is a `phantom`.
- A send that never completed still counts as sent: its message is no phantom.
- A history without any dependency to look for cycles in is not reported
  (`empty-transaction-graph`): the tallies show that hardly anything happened.
- Rebalance logs, which Maelstrom's clients do not have, are not read.

Cost is linear in the number of events and polled records, but for sorting each key's offsets.
"""

import itertools
from collections.abc import Collection, Sequence

from tidings.checker.cycles import judge_cycles
from tidings.checker.evidence import gather
from tidings.checker.history import Event
from tidings.checker.lag import worst_realtime_lag
from tidings.checker.operations import UNKNOWN_OFFSET, Operation, read_operations
from tidings.checker.polls import judge_polls
from tidings.checker.records import judge_records
from tidings.checker.sends import judge_sends
from tidings.checker.verdict import INSTANCES_MAX, Findings, Tally, Verdict, bad_names


def check(
    history: Sequence[Event],
    *,
    sub_via: Collection[str] = ("assign",),
    ww_deps: bool = False,
) -> Verdict:
    """Judge a history.

    Args:
        history: Every event, in order of its index.
        sub_via: How clients took their keys: with "subscribe" among them, skips and steps back
            between polls are allowed.
        ww_deps: Whether the order of offsets counts as a dependency between sends; cycles through
            it are normal without isolation, and then allowed.

    Raises:
        InvalidRequest: The history cannot be judged; names the event and says why.
    """
    operations = read_operations(history)
    evidence = gather(operations)
    findings = Findings()
    judge_polls(evidence, findings)
    judge_sends(evidence, findings)
    judge_records(evidence, findings)
    judge_cycles(evidence, findings, ww_deps=ww_deps)
    bad = bad_names(findings.counts, sub_via=sub_via, ww_deps=ww_deps)
    return Verdict(
        valid=not bad,
        bad=bad,
        anomalies=dict(sorted(findings.anomalies.items())),
        anomaly_counts=dict(sorted(findings.counts.items())),
        tallies=_tally(operations),
        worst_realtime_lag=worst_realtime_lag(operations),
        unplaced_event_indexes=_unplaced(operations),
        event_count=len(history),
    )


def _unplaced(operations: Sequence[Operation]) -> list[int]:
    indexes = (
        operation.completion.index
        for operation in operations
        if operation.type == "ok"
        and any(
            UNKNOWN_OFFSET in batch.offsets
            for batch in (*operation.sends.values(), *operation.polls.values())
        )
    )
    return list(itertools.islice(indexes, INSTANCES_MAX))


def _tally(operations: Sequence[Operation]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for operation in operations:
        tally = tallies.setdefault(operation.f, Tally())
        match operation.type:
            case "ok":
                tally.ok += 1
            case "fail":
                tally.fail += 1
            case _:
                tally.info += 1
    return dict(sorted(tallies.items()))
