from random import Random
from typing import Any

import pytest
from test_summary import history, polled, sent

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.workbench.sentinel import Sentinel

TELLABLE = (
    "int-poll-skip",
    "poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-poll",
    "inconsistent-offsets",
    "G1a",
    "duplicate",
)


def counts_of(events: list[Event]) -> dict[str, int]:
    sentinel = Sentinel()
    for event in events:
        sentinel.observe(event)
    return sentinel.counts


FAILED: list[tuple[int, Any, str, Any]] = [
    (0, "invoke", "send", [["send", "k", 1]]),
    (0, "fail", "send", [["send", "k", 1]]),
]
TWO = [*sent(0, "k", 0, 1), *sent(0, "k", 1, 2), *sent(0, "k", 2, 3)]


@pytest.mark.parametrize(
    ("operations", "found"),
    [
        ([*TWO, *polled(1, {"k": [[0, 1], [1, 2], [2, 3]]})], {}),
        ([*TWO, *polled(1, {"k": [[0, 1], [2, 3]]})], {"int-poll-skip": 1}),
        ([*polled(1, {"k": [[0, 1], [2, 3]]}), *sent(0, "k", 1, 2)], {"int-poll-skip": 1}),
        ([*TWO, *polled(1, {"k": [[1, 2], [0, 1]]})], {"int-nonmonotonic-poll": 1}),
        ([*TWO, *polled(1, {"k": [[0, 1]]}), *polled(1, {"k": [[2, 3]]})], {"poll-skip": 1}),
        ([*TWO, *polled(1, {"k": [[0, 1]]}), *polled(2, {"k": [[2, 3]]})], {}),
        (
            [*TWO, *polled(1, {"k": [[1, 2]]}), *polled(1, {"k": [[0, 1]]})],
            {"nonmonotonic-poll": 1},
        ),
        ([*sent(0, "k", 0, 1), *sent(1, "k", 0, 2)], {"inconsistent-offsets": 1}),
        ([*sent(0, "k", 0, 1), *polled(1, {"k": [[0, 1], [1, 1]]})], {"duplicate": 1}),
        ([*FAILED, *polled(1, {"k": [[0, 1]]})], {"G1a": 1}),
        ([*polled(1, {"k": [[0, 1], [5, 6]]})], {}),
    ],
)
def test_sentinel_finds_it_as_soon_as_it_can_be_told(
    operations: list[Any], found: dict[str, int]
) -> None:
    assert counts_of(history(*operations)) == found


@pytest.mark.parametrize("seed", range(60))
def test_sentinel_names_nothing_that_the_checker_does_not(seed: int) -> None:
    """Polls that lose, repeat and reorder records at random."""
    rng = Random(seed)
    operations: list[Any] = []
    for offset in range(8):
        operations += sent(0, "k", offset, offset)
        if rng.random() < 0.7:
            offsets = sorted(rng.sample(range(offset + 1), rng.randint(0, offset + 1)))
            if rng.random() < 0.1:
                rng.shuffle(offsets)
            operations += polled(rng.randint(1, 2), {"k": [[o, o] for o in offsets]})
    events = history(*operations)
    expected = check(events).anomaly_counts
    told = {name: count for name, count in expected.items() if name in TELLABLE}
    assert counts_of(events) == told


def test_sentinel_forgets_positions_when_keys_are_assigned_anew() -> None:
    assign: list[tuple[int, Any, str, Any]] = [
        (1, "invoke", "assign", ["other"]),
        (1, "ok", "assign", ["other"]),
    ]
    events = history(*TWO, *polled(1, {"k": [[0, 1]]}), *assign, *polled(1, {"k": [[2, 3]]}))
    assert counts_of(events) == {}
