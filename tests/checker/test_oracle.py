"""Every verdict that Jepsen's own checker gave, ours gives too; see oracle/README.md."""

import lzma
from pathlib import Path

import msgspec
import pytest

from tidings.checker.history import Event, load_history
from tidings.checker.kafka import check

ORACLE = Path(__file__).parent / "oracle"


class Expected(msgspec.Struct):
    """What Jepsen's checker said."""

    valid: bool | None
    anomalies: list[str]
    bad: list[str]
    name: str = ""
    ops: list[Event] = []


RUNS = msgspec.json.decode((ORACLE / "verdicts.json").read_bytes(), type=dict[str, Expected])
GENERATED = [
    msgspec.json.decode(line, type=Expected)
    for line in lzma.decompress((ORACLE / "generated.jsonl.xz").read_bytes()).splitlines()
]


def assert_agreement(history: list[Event], expected: Expected) -> None:
    verdict = check(history)
    if expected.valid is None:
        assert "phantom" in verdict.bad
        assert not verdict.valid
    else:
        assert list(verdict.anomalies) == sorted(expected.anomalies)
        assert verdict.bad == sorted(expected.bad)
        assert verdict.valid == expected.valid


@pytest.mark.parametrize("name", RUNS)
def test_maelstrom_run_is_judged_as_by_jepsen(name: str) -> None:
    assert_agreement(load_history(ORACLE / f"{name}.edn.gz"), RUNS[name])


@pytest.mark.parametrize("expected", GENERATED, ids=lambda expected: expected.name)
def test_generated_history_is_judged_as_by_jepsen(expected: Expected) -> None:
    assert_agreement(expected.ops, expected)


def test_oracle_holds_every_history_and_anomaly_it_should() -> None:
    assert len(RUNS) == 15
    assert len(GENERATED) == 393
    found = {name for expected in GENERATED for name in expected.anomalies}
    assert found == {
        "G1a",
        "G1c",
        "G1c-realtime",
        "PL-2-cycle-exists",
        "duplicate",
        "inconsistent-offsets",
        "int-nonmonotonic-poll",
        "int-nonmonotonic-send",
        "int-poll-skip",
        "int-send-skip",
        "lost-write",
        "nonmonotonic-poll",
        "nonmonotonic-send",
        "phantom",
        "poll-skip",
        "precommitted-read",
        "strong-PL-2-cycle-exists",
        "unseen",
    }


def test_every_anomaly_kept_names_events_of_its_history() -> None:
    for expected in GENERATED:
        verdict = check(expected.ops)
        indexes = {event.index for event in expected.ops}
        for name, anomalies in verdict.anomalies.items():
            for anomaly in anomalies:
                assert anomaly.name == name
                assert anomaly.event_indexes, anomaly
                assert indexes.issuperset(anomaly.event_indexes)
