from typing import Any

import pytest
from reported import SKIPPING, record
from test_summary import history, polled, sent

from tidings.workbench.report.charts import Scale, latency_chart, linear, lines_chart, round_step
from tidings.workbench.report.markup import Markup, join, tag
from tidings.workbench.report.offsets import (
    KEYS_MAX,
    POINTS_MAX,
    offsets_section,
    span_s,
    thin,
    track_keys,
)
from tidings.workbench.report.series import (
    BINS_MAX,
    LATENCY_ROWS,
    cut,
    latencies,
    latency_row,
    rates,
    worst_lags,
)
from tidings.workbench.report.spells import Trouble, find_troubles


def test_markup_escapes_text_and_attributes_and_keeps_markup() -> None:
    made = tag("a", "<b>", Markup("<i></i>"), href='"', class_="x", data_key="k", hidden=None)
    assert made == '<a href="&quot;" class="x" data-key="k">&lt;b&gt;<i></i></a>'
    assert join("&", tag("p")) == "&amp;<p></p>"


@pytest.mark.parametrize("duration_s", [0.001, 0.9, 20, 61, 3600, 10**6])
def test_bins_cover_any_duration_in_a_bounded_number(duration_s: float) -> None:
    bins = cut(duration_s)
    assert bins.count <= BINS_MAX + 1
    assert bins.end_s > duration_s
    assert bins.place(duration_s * 1e9) == bins.count - 1
    assert bins.place(-1) == 0


def test_rates_count_what_ended_ok_by_kind_and_all_else_together() -> None:
    failed: Any = [(0, "invoke", "send", [["send", "k", 9]]), (0, "fail", "send", None)]
    crash: Any = [(1, "invoke", "crash", None), (1, "info", "crash", None)]
    run = record(history(*sent(0, "k", 0, 1), *failed, *crash, *polled(1, {"k": [[0, 1]]})))
    bins = cut(run.duration_s)
    found = {
        name: sum(values) * bins.width_s for name, values in rates(run.operations, bins).items()
    }
    assert found == pytest.approx({"send": 1, "poll": 1, "not ok": 1})


def test_latencies_are_by_kind_bin_and_row() -> None:
    run = record(SKIPPING)
    found = latencies(run.operations, cut(run.duration_s))
    assert [ms for ms in found.p50_ms["poll"] if ms is not None] == [1000.0]
    assert sum(sum(rows) for rows in found.heat) == 4
    assert latency_row(0.001) == 0
    assert latency_row(10**9) == LATENCY_ROWS - 1
    assert latency_row(1) < latency_row(10) < latency_row(100)


def test_lags_are_the_worst_of_each_bin() -> None:
    assign: Any = [(1, "invoke", "assign", ["k"]), (1, "ok", "assign", ["k"])]
    run = record(history(*assign, *sent(0, "k", 0, 1), *polled(1, {"k": []})))
    lags = worst_lags(run.operations, cut(run.duration_s))
    assert max(lags) == run.verdict.worst_realtime_lag.lag_s == 1.0  # type: ignore[union-attr]


def test_troubles_are_read_off_the_history_by_fault() -> None:
    steps: Any = [
        ("nemesis", "info", "kill", ["n1"]),
        ("nemesis", "info", "start-loss", 0.5),
        ("nemesis", "info", "start", ["n1"]),
        ("nemesis", "info", "stop-loss", None),
        ("nemesis", "info", "pause", ["n0", "n2"]),
    ]
    assert find_troubles(history(*steps), 9.0) == [
        Trouble("kill", 0.0, 2.0, "n1"),
        Trouble("loss", 1.0, 3.0, "0.5"),
        Trouble("pause", 4.0, 9.0, "n0 n2"),
    ]


def test_troubles_of_maelstrom_which_notes_each_step_twice() -> None:
    steps: Any = [("nemesis", "info", f"{end}-partition", None) for end in ("start", "stop")]
    doubled = [step for step in steps for _ in range(2)]
    assert [(t.begin_s, t.end_s) for t in find_troubles(history(*doubled), 9.0)] == [(0.0, 2.0)]


def test_scale_puts_values_between_its_edges() -> None:
    scale = linear([0, 5.0, None, 10.0])
    assert scale.y(0) > scale.y(5) > scale.y(10)
    assert scale.y(-3) == scale.y(0)
    log = Scale(0.1, 1000.0, is_logarithmic=True)
    assert log.ticks() == pytest.approx([0.1, 1, 10, 100, 1000])
    assert log.y(1) - log.y(10) == pytest.approx(log.y(10) - log.y(100))


@pytest.mark.parametrize(("rough", "step"), [(0.3, 0.5), (1, 1), (7, 10), (23, 50)])
def test_ticks_are_round(rough: float, step: float) -> None:
    assert round_step(rough) == pytest.approx(step)


def test_charts_shade_every_time_of_trouble_and_break_where_nothing_is() -> None:
    run = record(SKIPPING)
    bins = cut(run.duration_s)
    troubles = find_troubles(run.history, run.duration_s)
    values = [1.0 if place % 10 < 5 else None for place in range(bins.count)]
    drawn = lines_chart("a label", "/s", bins, {"send": values}, troubles)
    assert drawn.count('class="band f-partition"') == 1
    assert drawn.count("<polyline") == bins.count // 10
    assert drawn.count("<circle") == 1  # of the last bin, which stands alone
    assert 'aria-label="a label"' in drawn
    assert drawn.count('class="tip"') == bins.count
    heat = latency_chart(latencies(run.operations, bins), bins, troubles)
    assert heat.count('class="heat"') == 4


def test_offsets_are_tracked_for_keys_with_anomalies_first() -> None:
    busy = [op for n in range(9) for op in sent(0, f"busy{n % 3}", n, n)]
    run = record([*history(*busy, *sent(0, "k", 0, 1))])
    assert list(track_keys(run))[:3] == ["busy0", "busy1", "busy2"]
    tracks = track_keys(record(SKIPPING))
    assert [offset for _, offset, _ in tracks["k"].sends] == [0, 1, 2]
    assert [offset for _, offset in tracks["k"].fronts["all clients"]] == [2]


def test_offsets_section_draws_a_bounded_number_of_keys_one_of_them_shown() -> None:
    run = record(history(*(op for n in range(40) for op in sent(0, f"k{n}", 0, n))))
    drawn = offsets_section(run, [])
    assert drawn.count('class="keychart"') == KEYS_MAX
    assert drawn.count("hidden=") == KEYS_MAX - 1


def test_offsets_span_is_a_key_s_life_and_twice_as_long() -> None:
    begin_s, end_s = span_s(track_keys(record(SKIPPING))["k"])
    assert begin_s <= 1.0
    assert end_s == pytest.approx(begin_s + 3 * 5.0)


def test_thin_keeps_the_last_and_is_bounded() -> None:
    assert thin([1, 2]) == [1, 2]
    assert len(thin(range(10_000))) == POINTS_MAX
    assert thin(range(10_000))[-1] == 9999
