"""The report in a real browser: Chromium, headless.

Without one these tests are skipped, except in continuous integration (CI=true), where it must be
there: `apt-get install chromium`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, find_browser
from reported import EVIL, store_run

from tidings.workbench.report.load import load_record
from tidings.workbench.report.page import write_report

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = find_browser()
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium is installed, and CI must have one")
        pytest.skip("no Chromium is installed; try: apt-get install chromium")
    with Browser(executable, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_report(folder / "report.html", load_record(store_run(folder)))
    return folder / "report.html"


DRAWN = """new Promise((resolve) => {
  const isDrawn = () => document.querySelector(".message") !== null;
  const look = () => (isDrawn() ? resolve(true) : requestAnimationFrame(look));
  look();
})"""
"""Resolves when the message diagram is drawn."""


def opened(browser: Browser, report: Path, **look: object) -> Browser:
    browser.look(**look)  # type: ignore[arg-type]
    browser.open(report)
    assert browser.run(DRAWN)
    return browser


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_report_loads_without_complaint_and_asks_for_nothing(
    browser: Browser, report: Path, width: int, *, dark: bool
) -> None:
    page = opened(browser, report, width=width, dark=dark)
    assert page.complaints() == []
    assert page.requests() == []


@pytest.mark.parametrize("width", [390, 1200])
def test_report_verdict_is_visible_at_once(browser: Browser, report: Path, width: int) -> None:
    page = opened(browser, report, width=width)
    assert page.run("document.getElementById('verdict').textContent") == "Invalid"
    bottom = page.run("document.getElementById('verdict').getBoundingClientRect().bottom")
    assert 0 < bottom < 400


def test_report_fits_a_narrow_screen(browser: Browser, report: Path) -> None:
    page = opened(browser, report, width=360)
    assert page.run("document.documentElement.scrollWidth") <= 360


def test_report_is_dark_for_those_who_like_it_dark(browser: Browser, report: Path) -> None:
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    light = opened(browser, report, dark=False).run(brightness)
    dark = opened(browser, report, dark=True).run(brightness)
    assert min(light[:3]) > 200
    assert max(dark[:3]) < 60


CLICK = "document.querySelectorAll('.message')[{}].dispatchEvent(new Event('click'))"
BODY = "document.querySelector('#body pre').textContent"


def test_report_click_on_a_message_shows_its_body(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    page.run(CLICK.format(1))
    assert '"msg": 1' in page.run(BODY)
    assert EVIL in page.run(BODY).replace('\\"', '"')
    assert "c0 → n0" in page.run("document.querySelector('#body').textContent")
    assert page.run("document.querySelectorAll('.message.chosen').length") == 1


def test_report_message_can_be_chosen_with_the_keyboard(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    page.run(
        "document.querySelectorAll('.message')[2]"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))"
    )
    assert '"msg": 2' in page.run(BODY)


def test_report_diagram_shows_the_window_that_is_asked_for(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    count = "document.querySelectorAll('.message').length"
    assert page.run(count) == 6  # of the first 50 ms, one each 10 ms, both ends included
    page.run("show(0.2, 0.4)")
    assert page.run(f"show(0.2, 0.4).then(() => {count})") == 20
    assert page.run("document.querySelectorAll('.message.lost').length") == 1
    page.run("document.getElementById('with-clients').checked = false")
    assert page.run(f"update().then(() => {count})") == 10
    page.run("document.getElementById('containing').value = '\"msg\":30'")
    assert page.run(f"update().then(() => {count})") == 1


def test_report_story_leads_to_its_messages(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    page.run("document.querySelector('button.window').click()")
    assert page.run("Number(document.getElementById('from').value)") > 4


def test_report_shows_the_key_that_is_chosen(browser: Browser, report: Path) -> None:
    page = opened(browser, report)
    shown = "[...document.querySelectorAll('.keychart')].filter(c => !c.hidden).length"
    assert page.run(shown) == 1
