"""The offsets of single keys over time: when each was acknowledged, and when each node gave it out.

A step line is the highest offset that polls of one node had returned so far. Where it runs below
the dots, the node was behind; where it ends below them, something was never read there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tidings.workbench.report.charts import Frame, legend, linear, trouble_legend
from tidings.workbench.report.markup import Markup, join, tag
from tidings.workbench.report.record import RunRecord
from tidings.workbench.report.spells import Trouble

_T = TypeVar("_T")

LIFE_MIN_S: Final = 0.2
"""A key that lived shorter is drawn as if it had lived so long."""

KEYS_MAX: Final = 16
"""How many keys are drawn: those with anomalies first, then those with the most sends."""

POINTS_MAX: Final = 300
"""How many dots, and how many steps of one line, are drawn."""


@dataclass(slots=True)
class KeyTrack:
    """What became known of one key, in order of time."""

    sends: list[tuple[float, int, str]] = field(default_factory=list)
    """Time, offset, by whom: acknowledged sends."""
    fronts: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    """By who polled: when its highest offset rose, and to what."""


def track_keys(run: RunRecord) -> dict[str, KeyTrack]:
    """Return the tracks of the keys worth drawing."""
    counts: dict[str, int] = {}
    for operation in run.operations:
        for key in operation.sends:
            counts[key] = counts.get(key, 0) + 1
    concerned = [a.key for found in run.verdict.anomalies.values() for a in found if a.key]
    busiest = sorted(counts, key=lambda key: -counts[key])
    tracks = {key: KeyTrack() for key in list(dict.fromkeys([*concerned, *busiest]))[:KEYS_MAX]}
    for operation in run.operations:
        if operation.type != "ok":
            continue
        who = run.node_of(operation.process) or "all clients"
        time_s = operation.completion.time / 1e9
        for key, batch in operation.sends.items():
            if key in tracks:
                tracks[key].sends += [(time_s, offset, who) for offset in batch.offsets]
        for key, batch in operation.polls.items():
            if key in tracks and batch.offsets:
                _raise_front(tracks[key], who, time_s, batch.highest_offset())
    return tracks


def _raise_front(track: KeyTrack, who: str, time_s: float, offset: int) -> None:
    front = track.fronts.setdefault(who, [])
    if not front or offset > front[-1][1]:
        front.append((time_s, offset))


def offsets_section(run: RunRecord, troubles: Sequence[Trouble]) -> Markup:
    """Return a chart for each key, of which one is shown, and the choice among them."""
    tracks = track_keys(run)
    if not tracks:
        return Markup("")
    options = [tag("option", f"key {key}", value=key) for key in tracks]
    charts = [
        tag(
            "div",
            _draw(key, track, troubles),
            class_="keychart",
            data_key=key,
            hidden=None if place == 0 else "hidden",
        )
        for place, (key, track) in enumerate(tracks.items())
    ]
    chooser = tag("label", "Show ", tag("select", *options, id="keys"))
    return join(tag("p", chooser), *charts)


def span_s(track: KeyTrack) -> tuple[float, float]:
    """Return the time to draw: a key's life and twice as long again.

    Keys live shortly, and final polls come long after; what happens then is told in the legend.
    """
    times_s = [time_s for time_s, _, _ in track.sends]
    times_s = times_s or [front[0][0] for front in track.fronts.values()] or [0.0]
    life_s = max(max(times_s) - min(times_s), LIFE_MIN_S)
    begin_s = max(0.0, min(times_s) - 0.1 * life_s)
    return begin_s, begin_s + 3 * life_s


def _draw(key: str, track: KeyTrack, troubles: Sequence[Trouble]) -> Markup:
    highest = [float(offset) for _, offset, _ in track.sends]
    highest += [float(front[-1][1]) for front in track.fronts.values()]
    scale, span = linear(highest), span_s(track)
    near = [trouble for trouble in troubles if trouble.begin_s < span[1]]
    frame = Frame(span, scale, "offset", near, f"offsets of key {key} over time")
    whos = sorted({**track.fronts, **{who: None for _, _, who in track.sends}})
    colours = {who: f"c{place % 8}" for place, who in enumerate(whos)}
    for who, front in sorted(track.fronts.items()):
        if front[0][0] <= span[1]:
            points = _steps(frame, thin(front), span[1])
            frame.layers.append(tag("polyline", points=points, class_=f"line {colours[who]}"))
    for time_s, offset, who in thin(track.sends):
        told = f"{time_s:.3f} s: offset {offset} acknowledged by {who}"
        x, y = frame.x(time_s), frame.scale.y(offset)
        frame.layers.append(
            tag("circle", tag("title", told), cx=x, cy=y, r=3, class_=f"dot {colours[who]}")
        )
    named = {_reached(who, track): colour for who, colour in colours.items()}
    return join(frame.draw(), legend({**named, **trouble_legend(near)}))


def _reached(who: str, track: KeyTrack) -> str:
    front = track.fronts.get(who)
    if not front:
        return f"{who}: never polled"
    return f"{who}: offset {front[-1][1]} at {front[-1][0]:.2f} s"


def _steps(frame: Frame, front: Sequence[tuple[float, int]], end_s: float) -> str:
    points = []
    y_before: float | None = None
    for time_s, offset in front:
        x, y = frame.x(time_s), frame.scale.y(offset)
        if y_before is not None:
            points.append(f"{x:.1f},{y_before:.1f}")
        points.append(f"{x:.1f},{y:.1f}")
        y_before = y
    points.append(f"{frame.x(end_s):.1f},{y_before or 0:.1f}")
    return " ".join(points)


def thin(items: Sequence[_T]) -> Sequence[_T]:
    """Return at most `POINTS_MAX` of the items, evenly, the last among them."""
    if len(items) <= POINTS_MAX:
        return items
    step = len(items) / POINTS_MAX
    return [items[int((number + 1) * step) - 1] for number in range(POINTS_MAX)]
