"""`tidings cost`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidings.cli.cost import cost
from tidings.kafka.cluster.prices import MONTH_S

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"


def told(*words: str) -> Result:
    return CliRunner().invoke(cost, words)


def document(*words: str) -> dict[str, dict[str, float]]:
    result = told("--json", *words)
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, float]] = json.loads(result.output)
    return found


@pytest.mark.parametrize("words", [(), ("--batch-bytes", "100000"), ("--store", "postgres")])
def test_page_on_cost_shows_what_the_command_prints(words: tuple[str, ...]) -> None:
    line = " ".join(("tidings cost", *words))
    assert f"```sh\n{line}\n```\n\n```text\n{told(*words).output}```" in PAGE.read_text()


def test_prices_are_those_that_the_command_was_given() -> None:
    usual = document("--rate", "10")["10 MB/s"]
    other = document("--rate", "10", "--price", "zone_gb=0", "--price", "object_gb_month=0.046")
    assert other["10 MB/s"]["Tidings: between zones, USD"] == 0
    assert other["10 MB/s"]["Kafka: between zones, USD"] == 0
    stored = "Tidings: stored records, USD"
    assert other["10 MB/s"][stored] == pytest.approx(2 * usual[stored])


def test_bill_is_the_sum_of_its_lines() -> None:
    (column,) = document("--rate", "3", "--store", "postgres").values()
    for who in ("Tidings", "Kafka"):
        lines = [value for name, value in column.items() if name.startswith(f"{who}: ")]
        assert column[f"{who} in all, USD"] == pytest.approx(sum(lines))


def test_idle_cluster_beats_and_asks_for_little_else() -> None:
    (column,) = document("--rate", "0.000001", "--brokers", "2").values()
    beats = 2 * MONTH_S / 1e6
    assert column["order store: writes, million"] == pytest.approx(beats, rel=0.01)
    assert column["order store: reads, million"] == pytest.approx(beats, rel=0.01)
    assert column["blob store: PUT, million"] < 0.01


def test_slower_store_gets_fewer_writes() -> None:
    (fast,) = document("--rate", "10").values()
    (slow,) = document("--rate", "10", "--append-ms", "20").values()
    name = "order store: writes, million"
    assert slow[name] < fast[name] / 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--price", "zone=1"), "Say NAME=USD, of million_puts"),
        (("--price", "zone_gb=much"), "'much' is no number of dollars"),
        (("--rate", "0"), "0 is not in the range"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_what_to_say(
    words: tuple[str, ...], sentence: str
) -> None:
    result = told(*words)
    assert result.exit_code != 0
    assert sentence in result.output
