"""Puts a report together: verdict first, then what went wrong, then how it went."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from tidings.checker.verdict import INSTANCES_MAX
from tidings.workbench.figures import QUANTILES
from tidings.workbench.message_log import LoggedMessage, read_messages
from tidings.workbench.report.charts import latency_chart, lines_chart
from tidings.workbench.report.markup import Markup, join, tag
from tidings.workbench.report.messages import message_rates, pack
from tidings.workbench.report.offsets import offsets_section
from tidings.workbench.report.picture import picture
from tidings.workbench.report.record import RunRecord
from tidings.workbench.report.series import Bins, cut, latencies, rates, worst_lags
from tidings.workbench.report.spells import Trouble, find_troubles
from tidings.workbench.report.story import Story, Teller, meaning

REPORT: Final = "report.html"
"""The file inside the store."""

_TROUBLE_MARGIN_S: Final = 0.25


def write_report(path: Path, run: RunRecord) -> None:
    """Write the report of `run` to `path`, replacing what is there."""
    path.write_text(render_report(run), encoding="utf-8")


def render_report(run: RunRecord) -> str:
    """Return the report of `run` as HTML."""
    messages = _load(run)
    bins = cut(run.duration_s)
    troubles = find_troubles(run.history, run.duration_s)
    stories = _stories(run)
    sections = [
        ("anomalies", "What went wrong", _anomalies(run, stories, has_messages=bool(messages))),
        ("figures", "Operations", _figures(run)),
        ("time", "Over time", _over_time(run, bins, troubles, messages)),
        ("offsets", "Offsets of a key", offsets_section(run, troubles)),
        ("messages", "Messages", _messages(run, messages, stories, troubles)),
        ("settings", "What was asked for", _settings(run)),
    ]
    shown = [section for section in sections if section[2]]
    return document(
        f"{run.name}: {'invalid' if run.reasons else 'valid'}",
        _head(run),
        tag("nav", *(tag("a", title, href=f"#{name}") for name, title, _ in shown)),
        *(tag("section", tag("h2", title), body, id=name) for name, title, body in shown),
        script=asset("page.js"),
    )


def document(title: str, *content: Markup, script: str = "") -> str:
    """Return a whole page that needs no other file."""
    head = tag(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        # Without one, a browser asks for a favicon, and there is nobody to ask.
        Markup('<link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", Markup(asset("page.css"))),
    )
    scripts = [tag("script", Markup(script))] if script else []
    body = tag("body", tag("main", *content), *scripts)
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


def asset(name: str) -> str:
    """Return a file that is part of every page."""
    return (files("tidings.workbench.report") / "assets" / name).read_text(encoding="utf-8")


def _load(run: RunRecord) -> list[LoggedMessage]:
    if run.messages_path is None or not run.messages_path.exists():
        return []
    return sorted(read_messages(run.messages_path), key=lambda message: message.sent)


def _stories(run: RunRecord) -> dict[str, list[Story]]:
    if not run.verdict.anomalies:
        return {}
    teller = Teller(run)
    names = sorted(run.verdict.anomalies, key=lambda name: name not in run.verdict.bad)
    return {name: list(teller.stories(run.verdict.anomalies[name])) for name in names}


def _head(run: RunRecord) -> Markup:
    verdict = "Invalid" if run.reasons else "Valid"
    told = ", ".join(run.reasons) or "no anomalies: what clients saw is what a log must show them"
    note = [tag("p", run.note, class_="note")] if run.note else []
    return tag(
        "header",
        tag("p", "Tidings workbench", class_="brand"),
        tag("h1", run.name),
        tag(
            "div",
            tag("strong", verdict, id="verdict"),
            tag("span", told),
            class_=f"verdict {'invalid' if run.reasons else 'valid'}",
        ),
        *note,
        tag("div", *_tiles(run), class_="tiles"),
    )


def _tiles(run: RunRecord) -> Iterator[Markup]:
    kinds = {name: kind for name, kind in run.figures.kinds.items() if name != "crash"}
    every = sum(kind.ok + kind.fail + kind.info for kind in kinds.values())
    ok = sum(kind.ok for kind in kinds.values())
    yield _tile(f"{run.figures.operations:,}", "operations")
    if run.rate is not None:
        yield _tile(f"{run.rate:,.0f}", "a second")
    yield _tile(f"{ok / max(1, every):.2%}", "ended ok")
    send = kinds.get("send")
    if send is not None and send.latencies_ms:
        yield _tile(duration(send.latencies_ms["p50"]), "send, p50")
        yield _tile(duration(send.latencies_ms["p99"]), "send, p99")
    if run.messages is not None:
        yield _tile(f"{run.messages.per_operation:.2f}", "server messages an operation")
    lag = run.verdict.worst_realtime_lag
    yield _tile("none" if lag is None else f"{lag.lag_s:.2f} s", "worst lag of a poll")


def duration(time_ms: float) -> str:
    """Return a time with a unit that suits it."""
    return f"{time_ms:.1f} ms" if time_ms < 1000 else f"{time_ms / 1000:.2f} s"


def _tile(value: str, label: str) -> Markup:
    return tag("div", tag("b", value), tag("span", label), class_="tile")


def _anomalies(run: RunRecord, stories: dict[str, list[Story]], *, has_messages: bool) -> Markup:
    blocks = []
    for name, told in stories.items():
        count = run.verdict.anomaly_counts[name]
        allowed = "" if name in run.verdict.bad else " Kafka allows it."
        left = count - len(told)
        of_many = f"{left:,} more are counted." if left else ""
        if left and count > INSTANCES_MAX:
            of_many += f" The verdict lists the first {INSTANCES_MAX}."
        blocks.append(
            tag(
                "article",
                tag("h3", tag("code", name), f" {count:,} found"),
                tag("p", meaning(name) + allowed),
                *(
                    _story(story, is_open=place == 0, has_messages=has_messages)
                    for place, story in enumerate(told)
                ),
                *([tag("p", of_many, class_="dim")] if of_many else []),
            )
        )
    return join(*blocks)


def _story(story: Story, *, is_open: bool, has_messages: bool) -> Markup:
    steps = [
        tag(
            "li",
            tag("time", f"{step.event.time / 1e9:.3f} s"),
            " ",
            tag("b", _capital(step.who)),
            f" {step.text}. ",
            tag("span", f"event {step.event.index}", class_="dim"),
        )
        for step in story.steps
    ]
    if story.left_out:
        steps.append(tag("li", f"… and {story.left_out} more events.", class_="dim"))
    begin_s, end_s = story.window_s
    button = tag(
        "button",
        "Show the messages of this time",
        type="button",
        class_="window",
        data_begin=f"{begin_s:.6f}",
        data_end=f"{end_s:.6f}",
    )
    missing = [tag("p", story.missing, class_="missing")] if story.missing else []
    return tag(
        "details",
        tag("summary", _capital(story.anomaly.sentence)),
        tag("ol", *steps, class_="steps"),
        *missing,
        picture(story),
        *([button] if has_messages else []),
        class_="story",
        open="open" if is_open else None,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _figures(run: RunRecord) -> Markup:
    heads = ["", "ok", "fail", "info", "available", *QUANTILES]
    rows = []
    for name, kind in run.figures.kinds.items():
        available = f"{kind.availability:.2%}" if name != "crash" else ""
        times = [duration(kind.latencies_ms[q]) for q in QUANTILES if q in kind.latencies_ms]
        counts = [f"{count:,}" for count in (kind.ok, kind.fail, kind.info)]
        rows.append([name, *counts, available, *times])
    blocks = [table(heads, rows)]
    if run.figures.errors:
        errors = [[f"{count:,}", text] for text, count in run.figures.errors.items()]
        blocks.append(tag("h3", "Why some were not ok"))
        blocks.append(table(["times", "reason"], errors, class_="reasons"))
    if run.messages is not None:
        figures = run.messages
        split = ", ".join(f"{p} {n:.2f}" for p, n in figures.per_operation_by_peer.items() if n)
        blocks.append(
            tag(
                "p",
                f"Servers sent {figures.servers:,} messages, {figures.per_operation:.2f} for each "
                f"operation ({split}), clients and servers {figures.clients:,} to each other; "
                f"{figures.lost:,} were lost.",
            )
        )
    return join(*blocks)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, class_: str = "") -> Markup:
    """Return a table that scrolls by itself when it is too wide."""
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
            tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)),
            class_=class_ or None,
        ),
        class_="scroll",
    )


def _over_time(
    run: RunRecord, bins: Bins, troubles: Sequence[Trouble], messages: Sequence[LoggedMessage]
) -> Markup:
    operations = run.operations
    parts = [
        tag("h3", "Latency"),
        latency_chart(latencies(operations, bins), bins, troubles),
        tag("h3", "Rate"),
        lines_chart(
            "operations that ended, a second", "/s", bins, rates(operations, bins), troubles
        ),
    ]
    if messages:
        parts += [
            tag("h3", "Messages"),
            lines_chart("messages a second", "/s", bins, message_rates(messages, bins), troubles),
        ]
    parts += [
        tag("h3", "Real-time lag"),
        tag("p", "How long a record had been known when a poll began that missed it, at worst."),
        lines_chart(
            "worst lag of polls, in seconds",
            "s",
            bins,
            {"worst lag": worst_lags(operations, bins)},
            troubles,
            at_least=0.1,
        ),
    ]
    if troubles:
        told = [[t.fault, f"{t.begin_s:.1f} s", f"{t.end_s:.1f} s", t.detail] for t in troubles]
        parts.append(
            tag(
                "details",
                tag("summary", f"The {len(troubles)} times of trouble"),
                table(["fault", "from", "to", "what"], told, class_="reasons"),
            )
        )
    return join(*parts)


def _messages(
    run: RunRecord,
    messages: Sequence[LoggedMessage],
    stories: dict[str, list[Story]],
    troubles: Sequence[Trouble],
) -> Markup:
    if not messages:
        return Markup("")
    windows = [story.window_s for told in stories.values() for story in told]
    windows += [
        (edge_s - _TROUBLE_MARGIN_S, edge_s + _TROUBLE_MARGIN_S)
        for trouble in troubles
        for edge_s in (trouble.begin_s, trouble.end_s)
    ]
    packed = pack(messages, windows)
    return join(
        tag(
            "p",
            "Time runs downwards, one row for each departure and arrival; a click on a message "
            "shows its body. ",
            _kept(packed.kept, max(packed.total, run.messages.total if run.messages else 0)),
        ),
        Markup(asset("diagram.html")),
        tag(
            "script",
            # The end of a script must not stand inside one.
            Markup(msgspec.json.encode(packed).decode().replace("<", "\\u003c")),
            type="application/json",
            id="packed",
        ),
    )


def _kept(kept: int, total: int) -> str:
    if kept == total:
        return f"All {total:,} messages are here."
    return (
        f"{kept:,} of {total:,} messages are here, those around anomalies and faults first; "
        "the run's folder has more."
    )


def _settings(run: RunRecord) -> Markup:
    if run.settings is None:
        return Markup("")
    rows = [[name, _setting(value)] for name, value in run.settings.items()]
    return table(["setting", "value"], rows, class_="reasons")


def _setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(part) for part in value)
    return str(value)
