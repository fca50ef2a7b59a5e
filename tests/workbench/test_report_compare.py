import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from in_process import make_settings
from reported import SKIPPING, record, store_run
from test_summary import history, polled, sent

from tidings import cli
from tidings.cli import challenge as options
from tidings.workbench.challenge import compare
from tidings.workbench.report.compare import COMPARISON, render_comparison, summarize, table_lines
from tidings.workbench.report.load import load_record
from tidings.workbench.spectators import PlainSpectator

MEMORY_LOG = str(Path(__file__).parent / "nodes" / "memory_log.py")
GOOD = history(*sent(0, "k", 0, 1), *polled(1, {"k": [[0, 1]]}))


def test_comparison_shows_verdicts_and_figures_side_by_side(tmp_path: Path) -> None:
    bad = summarize(load_record(store_run(tmp_path)))
    good = summarize(record(GOOD))
    head, first, second, reason = table_lines([good, bad])
    assert "msgs/op" in head
    assert first.split()[:2] == ["run.jsonl", "valid"]
    assert second.split()[:3] == ["forgetful", "INVALID", "10"]
    assert reason.startswith("forgetful is INVALID: 1 int-poll-skip")
    assert len(head) == len(first) == len(second)


def test_comparison_page_draws_a_line_for_each_run_and_links_to_its_report() -> None:
    runs = [replace(record(GOOD), name="good"), replace(record(SKIPPING), name="bad")]
    page = render_comparison([summarize(run) for run in runs], 7)
    assert 'href="good/report.html"' in page
    assert 'href="bad/report.html"' in page
    assert "seed 7" in page
    assert page.count("<polyline") + page.count("<circle") >= 2


@pytest.mark.real
def test_compare_runs_all_on_the_same_seed_and_returns_the_worst_status(tmp_path: Path) -> None:
    said: list[str] = []
    runs = []
    for name, arguments in (("forgetful", ("5",)), ("careful", ())):
        (tmp_path / name).mkdir()
        runs.append(
            make_settings(
                name=name,
                command=(sys.executable, MEMORY_LOG, *arguments),
                store=tmp_path / name,
                node_count=1,
                concurrency=2,
                rate=100.0,
                time_limit_s=1.0,
                recovery_s=0.0,
                final_polls_s=1.0,
                seed=3,
            )
        )
    assert compare(runs, tmp_path, PlainSpectator(said.append, said.append)) == 1
    assert (tmp_path / COMPARISON).exists()
    assert (tmp_path / "careful" / "report.html").exists()
    assert "forgetful is INVALID" in said[-1]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--compare journal,none-such", "neither a design nor a file"),
        ("--compare journal --bin /bin/true", "Leave one of them out"),
    ],
)
def test_cli_compare_bad_option_exits_2_with_advice(options: str, advice: str) -> None:
    result = CliRunner().invoke(cli.main, ["challenge", *options.split()])
    assert result.exit_code == 2
    assert advice in result.output


def test_cli_compare_takes_designs_and_files_under_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "node").write_text("#!/bin/sh\n")
        (tmp_path / folder / "node").chmod(0o755)
    text = f"journal,{tmp_path}/a/node,{tmp_path}/b/node"
    found = options._compared(None, None, text)  # type: ignore[arg-type]
    assert list(found) == ["journal", "node", "node-3"]
    assert found["node-3"] == (str(tmp_path / "b" / "node"),)
    assert found["journal"][-2:] == ("--design", "journal")
