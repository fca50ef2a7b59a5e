import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from reported import EVIL, SKIPPING, record, store_run
from test_summary import history, polled, sent

from tidings import cli
from tidings.checker.history import save_history
from tidings.errors import InvalidRequest
from tidings.workbench.message_log import MESSAGES, MessageLog
from tidings.workbench.network import Message
from tidings.workbench.report.load import RESULTS, load_record
from tidings.workbench.report.page import duration, render_report

VOID = ("meta", "link", "img", "input", "br", "hr")


def test_report_says_the_verdict_first(tmp_path: Path) -> None:
    page = render_report(load_record(store_run(tmp_path)))
    text = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "forgetful" in text[:300]
    assert "Invalid" in text[:300]
    assert text.index("1 int-poll-skip") < text.index("What went wrong")


def test_report_of_a_valid_run_has_no_anomalies() -> None:
    page = render_report(record(history(*sent(0, "k", 0, 1), *polled(1, {"k": [[0, 1]]}))))
    assert ">Valid<" in page
    assert "What went wrong" not in page


def test_report_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = render_report(load_record(store_run(tmp_path)))
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


def test_report_tags_are_closed_in_order(tmp_path: Path) -> None:
    page = render_report(load_record(store_run(tmp_path)))
    page = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)
    open_tags: list[str] = []
    for closes, name in re.findall(r"<(/?)([a-z][a-z0-9]*)\b[^>]*>", page):
        if closes:
            assert open_tags.pop() == name
        elif name not in VOID:
            open_tags.append(name)
    assert open_tags == []


def test_report_shows_hostile_text_as_text(tmp_path: Path) -> None:
    bad: list[Any] = [
        (0, "invoke", "send", [["send", EVIL, EVIL]]),
        (0, "fail", "send", [["send", EVIL, EVIL]]),
        *polled(1, {EVIL: [[0, EVIL]]}),
    ]
    page = render_report(load_record(store_run(tmp_path, history(*bad))))
    assert "G1a" in page
    assert "<img" not in page


def test_report_name_in_a_message_cannot_end_its_script(tmp_path: Path) -> None:
    path = store_run(tmp_path)
    log = MessageLog(tmp_path / MESSAGES, lambda: 0.0)
    log.begin()
    log.sent(Message(EVIL, "n0", msgspec.Raw(b"{}")))
    log.close()
    assert "<img" not in render_report(load_record(path))


def test_report_without_settings_and_messages_leaves_them_out() -> None:
    page = render_report(record())
    assert 'id="messages"' not in page
    assert 'id="settings"' not in page
    assert "process 1 " in page.lower()


def test_report_of_nothing_is_a_page() -> None:
    assert "</html>" in render_report(record([]))


def test_report_of_an_interrupted_run_says_so(tmp_path: Path) -> None:
    path = store_run(tmp_path)
    results = (tmp_path / RESULTS).read_text().replace("{", '{"interrupted":true,', 1)
    (tmp_path / RESULTS).write_text(results)
    assert "Interrupted: this judges only" in render_report(load_record(path))


def test_report_results_that_are_none_are_refused(tmp_path: Path) -> None:
    path = store_run(tmp_path)
    (tmp_path / RESULTS).write_text("[]")
    with pytest.raises(InvalidRequest, match="not the results of a run"):
        load_record(path)


@pytest.mark.parametrize(
    ("time_ms", "told"), [(0.44, "0.4 ms"), (999, "999.0 ms"), (1250, "1.25 s")]
)
def test_duration_has_a_unit_that_suits_it(time_ms: float, told: str) -> None:
    assert duration(time_ms) == told


def test_cli_check_writes_a_report(tmp_path: Path) -> None:
    save_history(tmp_path / "mine.jsonl", SKIPPING)
    report = tmp_path / "out.html"
    arguments = ["check", str(tmp_path / "mine.jsonl"), "--report", str(report)]
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 1
    assert str(report) in result.output
    assert "mine.jsonl" in report.read_text()


def test_cli_check_reports_on_a_history_of_jepsen(tmp_path: Path) -> None:
    edn = tmp_path / "history.edn"
    edn.write_text(
        '{:index 0, :time 0, :type :invoke, :process 0, :f :send, :value [[:send "k" 1]]}\n'
        '{:index 1, :time 9, :type :ok, :process 0, :f :send, :value [[:send "k" [0 1]]]}\n'
    )
    arguments = ["check", str(edn), "--report", str(tmp_path / "out.html")]
    assert CliRunner().invoke(cli.main, arguments).exit_code == 1
    assert "unseen" in (tmp_path / "out.html").read_text()
