"""Charts over the time of a run, as SVG: lines in a frame, behind them the times of trouble."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Final

from tidings.workbench.report.markup import Markup, join, tag
from tidings.workbench.report.series import (
    LATENCY_DECADES,
    LATENCY_MIN_MS,
    LATENCY_ROWS,
    Bins,
    Latencies,
)
from tidings.workbench.report.spells import Trouble

WIDTH: Final = 760
HEIGHT: Final = 236
LEFT: Final = 58
RIGHT: Final = 10
STRIP: Final = 5
"""The height of a fault's strip; there is room for six above the frame."""

TOP: Final = 6 * STRIP + 2
BOTTOM: Final = 26
TICKS: Final = 5

Value = float | None


@dataclass(frozen=True, slots=True)
class Scale:
    """Turns a value into a height."""

    low: float
    high: float
    is_logarithmic: bool = False

    def y(self, value: float) -> float:
        """Return the vertical place of a value; what is outside lies on the edge."""
        value = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            part = log10(value / self.low) / log10(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP)

    def ticks(self) -> list[float]:
        """Return round values in between."""
        if self.is_logarithmic:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            return [float(10**power) for power in range(first, last + 1)]
        step = round_step((self.high - self.low) / TICKS)
        count = floor((self.high - self.low) / step + 1e-9)
        return [self.low + step * number for number in range(count + 1)]


def linear(*series: Sequence[Value], at_least: float = 1.0) -> Scale:
    """Return a scale from 0 to the highest value."""
    highest = max((value for values in series for value in values if value is not None), default=0)
    return Scale(0.0, max(highest * 1.05, at_least))


def round_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least as great."""
    magnitude = 10.0 ** floor(log10(rough))
    return next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough - 1e-12)


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes of one chart."""

    span_s: tuple[float, float]
    scale: Scale
    unit: str
    troubles: Sequence[Trouble] = ()
    label: str = ""
    """What the chart shows, for who cannot see it."""
    layers: list[Markup] = field(default_factory=list)

    def x(self, time_s: float) -> float:
        """Return the horizontal place of a time; what is outside lies on the edge."""
        begin_s, end_s = self.span_s
        part = (time_s - begin_s) / (end_s - begin_s)
        return LEFT + min(max(part, 0), 1) * (WIDTH - LEFT - RIGHT)

    def line(
        self, bins: Bins, values: Sequence[Value], colour: str, *, dashes: bool = False
    ) -> None:
        """Add a line through the middles of the bins; where a value is missing it breaks."""
        runs: list[list[str]] = [[]]
        for time_s, value in zip(bins.middles_s(), values, strict=True):
            if value is None:
                runs.append([])
            else:
                runs[-1].append(f"{self.x(time_s):.1f},{self.scale.y(value):.1f}")
        for points in runs:
            if len(points) == 1:
                x, y = points[0].split(",")
                self.layers.append(tag("circle", cx=x, cy=y, r=2, class_=f"dot {colour}"))
            elif points:
                style = f"line {colour}{' dashed' if dashes else ''}"
                self.layers.append(tag("polyline", points=" ".join(points), class_=style))

    def draw(self) -> Markup:
        """Return the chart."""
        return tag(
            "div",
            tag(
                "svg",
                *self._bands(),
                *self._grid(),
                *self.layers,
                viewBox=f"0 0 {WIDTH} {HEIGHT}",
                role="img",
                aria_label=self.label,
            ),
            class_="chart",
        )

    def tips(self, bins: Bins, tell: Callable[[int], str]) -> None:
        """Add what `tell` says of each bin, for when somebody points at it."""
        for place in range(bins.count):
            left = self.x(place * bins.width_s)
            self.layers.append(
                tag(
                    "rect",
                    tag("title", tell(place)),
                    x=left,
                    y=TOP,
                    width=self.x((place + 1) * bins.width_s) - left,
                    height=HEIGHT - BOTTOM - TOP,
                    class_="tip",
                )
            )

    def _bands(self) -> Iterator[Markup]:
        """Draw each time of trouble, pale, and on top a strip for each fault."""
        rows = {fault: row for row, fault in enumerate(trouble_legend(self.troubles))}
        for trouble in self.troubles:
            left, right = self.x(trouble.begin_s), self.x(trouble.end_s)
            if left == right:
                continue
            place: dict[str, float] = {"x": left, "width": max(1.0, right - left)}
            height = HEIGHT - BOTTOM - TOP
            yield tag("rect", **place, y=TOP, height=height, class_=f"band f-{trouble.fault}")
            yield tag(
                "rect",
                tag("title", f"{trouble.fault} {trouble.detail}"),
                **place,
                y=TOP - STRIP * (rows[trouble.fault] + 1),
                height=STRIP - 1,
                class_=f"strip f-{trouble.fault}",
            )

    def _grid(self) -> Iterator[Markup]:
        for value in self.scale.ticks():
            y = self.scale.y(value)
            yield tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
            yield tag("text", f"{value:,g}", x=LEFT - 6, y=y + 4, class_="tick end")
        yield tag("text", self.unit, x=LEFT + 4, y=TOP + 12, class_="tick unit")
        begin_s, end_s = self.span_s
        step_s = round_step((end_s - begin_s) / TICKS)
        first = ceil(begin_s / step_s - 1e-9)
        for number in range(first, floor(end_s / step_s + 1e-9) + 1):
            time_s = number * step_s
            yield tag("text", f"{time_s:g} s", x=self.x(time_s), y=HEIGHT - 8, class_="tick middle")


def legend(entries: Mapping[str, str]) -> Markup:
    """Return what each colour means: names to classes."""
    return tag(
        "p",
        *(
            tag("span", tag("i", class_=f"key {colour}"), name, class_="entry")
            for name, colour in entries.items()
        ),
        class_="legend",
    )


def trouble_legend(troubles: Sequence[Trouble]) -> dict[str, str]:
    """Return the legend of the bands."""
    return {trouble.fault: f"band f-{trouble.fault}" for trouble in troubles}


def lines_chart(
    label: str,
    unit: str,
    bins: Bins,
    series: Mapping[str, Sequence[Value]],
    troubles: Sequence[Trouble],
    *,
    at_least: float = 1.0,
) -> Markup:
    """Return a chart of some lines with its legend."""
    scale = linear(*series.values(), at_least=at_least)

    def tips(place: int) -> str:
        told = [
            f"{name} {value:,.3g}"
            for name, values in series.items()
            if (value := values[place]) is not None
        ]
        return f"{place * bins.width_s:g} s: {', '.join(told)} {unit}"

    frame = Frame((0.0, bins.end_s), scale, unit, troubles, label)
    colours = {name: colour_of(name) for name in series}
    for name, values in series.items():
        frame.line(bins, values, colours[name])
    frame.tips(bins, tips)
    return join(frame.draw(), legend({**colours, **trouble_legend(troubles)}))


_COLOURS: Final = {
    "send": "c0",
    "poll": "c1",
    "assign": "c2",
    "txn": "c3",
    "clients": "c6",
    "nodes": "c3",
    "lin-kv": "c4",
    "seq-kv": "c7",
    "worst lag": "c5",
    "not ok": "bad",
    "lost": "bad",
}


def colour_of(name: str) -> str:
    """Return the class of a line's colour, the same in every chart; what went wrong is red."""
    return _COLOURS.get(name, "c5")


def latency_scale() -> Scale:
    """Return the scale on which latencies are drawn, in milliseconds."""
    return Scale(LATENCY_MIN_MS, LATENCY_MIN_MS * 10**LATENCY_DECADES, is_logarithmic=True)


def latency_chart(found: Latencies, bins: Bins, troubles: Sequence[Trouble]) -> Markup:
    """Return where latencies lie: a heat map, medians by kind, the 99th percentile."""

    def tips(place: int) -> str:
        medians = ", ".join(
            f"{kind} p50 {values[place]:.1f} ms"
            for kind, values in found.p50_ms.items()
            if values[place] is not None
        )
        high = found.p99_ms[place]
        p99 = "" if high is None else f", p99 {high:.1f} ms"
        not_ok = f", {found.not_ok[place]} not ok" if found.not_ok[place] else ""
        return f"{place * bins.width_s:g} s: {medians or 'nothing'}{p99}{not_ok}"

    label = "latency of operations that ended ok"
    frame = Frame((0.0, bins.end_s), latency_scale(), "ms", troubles, label)
    frame.layers.extend(_heat(found, frame, bins))
    colours = {}
    for kind, values in found.p50_ms.items():
        colours[f"{kind} p50"] = colour_of(kind)
        frame.line(bins, values, colour_of(kind))
    frame.line(bins, found.p99_ms, "strong", dashes=True)
    for place, count in enumerate(found.not_ok):
        if count:
            x = frame.x((place + 0.5) * bins.width_s)
            frame.layers.append(tag("circle", cx=x, cy=TOP + 5, r=3, class_="dot bad"))
    frame.tips(bins, tips)
    named = {**colours, "p99 of all": "strong"}
    if any(found.not_ok):
        named["some were not ok"] = "bad"
    return join(frame.draw(), legend({**named, **trouble_legend(troubles)}))


def _heat(found: Latencies, frame: Frame, bins: Bins) -> Iterator[Markup]:
    most = max((count for rows in found.heat for count in rows), default=1) or 1
    height = (HEIGHT - BOTTOM - TOP) / LATENCY_ROWS
    width = (WIDTH - LEFT - RIGHT) / bins.count
    for place, rows in enumerate(found.heat):
        for row, count in enumerate(rows):
            if count:
                yield tag(
                    "rect",
                    x=frame.x(place * bins.width_s),
                    y=HEIGHT - BOTTOM - (row + 1) * height,
                    width=width,
                    height=height,
                    class_="heat",
                    fill_opacity=round(0.12 + 0.6 * (count / most) ** 0.5, 2),
                )
