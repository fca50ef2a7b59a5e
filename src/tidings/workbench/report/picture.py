"""The picture of a story: a row for each of its events, a column for each offset.

A filled cell is a record that the event sent or returned. Columns that the anomaly is about are
marked; where a poll has an empty cell in such a column, between others, something is missing. A
circle has no offsets; its events are drawn as a chain that leads back to its start.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tidings.types import Json
from tidings.workbench.report.markup import Markup, tag
from tidings.workbench.report.story import Step, Story

COLUMNS_MAX: Final = 22
NEIGHBOURS: Final = 3
"""How many offsets on each side of those concerned are drawn."""

CELL: Final = 26
ROW: Final = 30
LABELS: Final = 150
HEAD: Final = 24
_MESSAGE_CHARS: Final = 4


def picture(story: Story) -> Markup:
    """Draw it."""
    columns = choose_columns(story)
    return _grid(story, columns) if columns else _chain(story.steps)


def choose_columns(story: Story) -> list[int]:
    """Return the offsets to draw: those concerned and their neighbours; none for a circle."""
    concerned = [offset for offset in story.anomaly.offsets if offset >= 0]
    known = sorted({o for step in story.steps for o, _ in step.pairs if o >= 0} | {*concerned})
    if not known:
        return []
    if not concerned:
        return known[:COLUMNS_MAX]
    first = max(0, known.index(min(concerned)) - NEIGHBOURS)
    last = known.index(max(concerned)) + NEIGHBOURS
    near = known[first : last + 1]
    return near if len(near) <= COLUMNS_MAX else _ends(near)


def _ends(offsets: Sequence[int]) -> list[int]:
    half = COLUMNS_MAX // 2
    return [*offsets[:half], *offsets[-half:]]


def _grid(story: Story, columns: Sequence[int]) -> Markup:
    width = LABELS + CELL * len(columns) + 10
    height = HEAD + ROW * len(story.steps) + 6
    x_of = {offset: LABELS + CELL * place for place, offset in enumerate(columns)}
    return _svg(width, height, [*_heads(story, x_of, height), *_rows(story, x_of)])


def _svg(width: int, height: int, content: Sequence[Markup]) -> Markup:
    return tag(
        "div",
        tag(
            "svg",
            *content,
            viewBox=f"0 0 {width} {height}",
            style=f"width:{width}px",
            role="img",
            aria_label="the events of the story, one row each; offsets from left to right",
        ),
        class_="picture",
    )


def _heads(story: Story, x_of: dict[int, int], height: int) -> Iterator[Markup]:
    yield tag("text", "offset", x=LABELS - 10, y=HEAD - 8, class_="tick end")
    before: int | None = None
    for offset, x in x_of.items():
        if offset in story.anomaly.offsets:
            yield tag("rect", x=x, y=0, width=CELL, height=height, class_="concerned")
        yield tag("text", str(offset), x=x + CELL / 2, y=HEAD - 8, class_="tick middle")
        if before is not None and offset != before + 1:
            yield tag("line", x1=x, x2=x, y1=4, y2=height, class_="tear")
        before = offset


def _rows(story: Story, x_of: dict[int, int]) -> Iterator[Markup]:
    for number, step in enumerate(story.steps):
        y = HEAD + ROW * number
        yield tag("text", _label(step), x=LABELS - 10, y=y + 19, class_="rowlabel end")
        shown = {offset: message for offset, message in step.pairs if offset in x_of}
        for offset, message in shown.items():
            yield _cell(x_of[offset], y, message, "poll" if step.is_poll else "send")
        if step.is_poll and step.pairs:
            yield from _holes(story, step, x_of, y)


def _holes(story: Story, step: Step, x_of: dict[int, int], y: int) -> Iterator[Markup]:
    """Mark what a poll should have returned."""
    if not story.missing:
        return
    got = {offset for offset, _ in step.pairs}
    for offset in story.anomaly.offsets:
        if offset in x_of and offset not in got and offset < max(got):
            x = x_of[offset]
            yield tag("rect", x=x + 2, y=y + 3, width=CELL - 4, height=ROW - 8, class_="hole")
            yield tag("text", "?", x=x + CELL / 2, y=y + 19, class_="holetext middle")


def _cell(x: int, y: int, message: Json, kind: str) -> Markup:
    text = msgspec.json.encode(message).decode()
    short = text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"
    return tag(
        "g",
        tag("title", f"message {text}"),
        tag("rect", x=x + 2, y=y + 3, width=CELL - 4, height=ROW - 8, rx=3, class_=f"cell {kind}"),
        tag("text", short, x=x + CELL / 2, y=y + 19, class_="celltext middle"),
    )


def _label(step: Step) -> str:
    who = step.who.replace("process ", "p").replace(", on ", " on ")
    return f"{step.event.time / 1e9:.3f} s  {who}  {step.event.f}"


def _chain(steps: Sequence[Step]) -> Markup:
    width, box = 520, 44
    content = []
    for number, step in enumerate(steps):
        y = 6 + number * (box + 18)
        content.append(tag("rect", x=60, y=y, width=440, height=box, rx=6, class_="link"))
        content.append(tag("text", _label(step), x=74, y=y + 18, class_="rowlabel"))
        content.append(tag("text", step.text[:60], x=74, y=y + 35, class_="tick"))
        if number:
            content.append(tag("path", d=f"M 280 {y - 18} v 14", class_="arrow"))
    if len(steps) > 1:
        bottom = 6 + (len(steps) - 1) * (box + 18) + box / 2
        content.append(tag("path", d=f"M 60 {bottom} h -30 V 28 h 26", class_="arrow"))
    return _svg(width, len(steps) * (box + 18) + 6, content)
