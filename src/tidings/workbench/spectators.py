"""Who watches a run: a terminal that shows how it goes, or plain lines."""

import asyncio
from collections.abc import Callable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidings.checker.history import Event
from tidings.workbench.network import Traffic
from tidings.workbench.progress import WINDOW_S, Progress, Snapshot, status_line
from tidings.workbench.runner import Spectator
from tidings.workbench.settings import Settings

STATUS_INTERVAL_S: Final = 5.0
"""How often plain lines say how it goes."""

REFRESH_INTERVAL_S: Final = 0.25
"""How often a terminal is drawn anew."""

Say = Callable[[str], None]


class PlainSpectator:
    """Says in lines what happens, and now and then how it goes."""

    def __init__(self, say: Say, echo: Say) -> None:
        self.say = say
        self.echo = echo
        self._progress: Progress | None = None
        self._next_s = STATUS_INTERVAL_S

    def begin(self, settings: Settings, traffic: Traffic) -> None:
        """Start anew; see `Spectator`."""
        self._progress = Progress(settings, traffic)
        self._next_s = STATUS_INTERVAL_S

    def observe(self, event: Event) -> None:
        """Take an event; see `Spectator`."""
        if self._progress is None:
            return
        self._progress.observe(event)
        time_s = event.time / 1e9
        if time_s >= self._next_s:
            self._next_s = time_s + STATUS_INTERVAL_S
            self.say(status_line(self._progress.at(time_s)))

    def end(self) -> None:
        """Observe no more; see `Spectator`."""
        self._progress = None


class LiveSpectator:
    """Shows on a terminal what is going on, below the lines of what happened."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._began_s = 0.0

    def say(self, line: str) -> None:
        """Print above what is shown; see `Spectator`."""
        self._console.print(Text(line), soft_wrap=True)

    def echo(self, line: str) -> None:
        """Print a node's stderr; see `Spectator`."""
        self._console.print(Text(line, style="dim"), soft_wrap=True)

    def begin(self, settings: Settings, traffic: Traffic) -> None:
        """Begin to draw; see `Spectator`."""
        self._began_s = asyncio.get_running_loop().time()
        self._progress = Progress(settings, traffic)
        # It is drawn by a timer of the loop: a thread would take turns from the network.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._draw()

    def observe(self, event: Event) -> None:
        """Take an event; see `Spectator`."""
        if self._progress is not None:
            self._progress.observe(event)

    def end(self) -> None:
        """Take away what is shown; see `Spectator`."""
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._live.stop()
        self._live = self._progress = self._timer = None

    def _draw(self) -> None:
        if self._live is None or self._progress is None:
            return
        loop = asyncio.get_running_loop()
        snapshot = self._progress.at(loop.time() - self._began_s)
        self._live.update(render(snapshot, self._progress.settings), refresh=True)
        self._timer = loop.call_later(REFRESH_INTERVAL_S, self._draw)


def make_spectator(say: Say, echo: Say) -> Spectator:
    """Return a live one for a terminal, else a plain one."""
    console = Console(highlight=False)
    return LiveSpectator(console) if console.is_terminal else PlainSpectator(say, echo)


def render(snapshot: Snapshot, settings: Settings) -> RenderableType:
    """Draw a run at one moment."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=9)
    table.add_column()
    for name, shown in (
        ("rate", _rate(snapshot, settings)),
        ("latency", _latency(snapshot)),
        ("so far", _tallies(snapshot)),
        ("servers", Text(f"{snapshot.messages_per_operation:.2f} messages an operation")),
        ("faults", _faults(snapshot)),
        ("anomalies", _anomalies(snapshot)),
    ):
        table.add_row(name, shown)
    return Group("", _clock(snapshot, settings), table)


def _clock(snapshot: Snapshot, settings: Settings) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    done_s = min(snapshot.time_s, settings.time_limit_s)
    is_over = snapshot.time_s > settings.time_limit_s
    row.add_row(
        ProgressBar(total=settings.time_limit_s, completed=done_s, width=32),
        f"{snapshot.time_s:.1f} s of {settings.time_limit_s:g} s",
        Text("quiet, then final polls" if is_over else "", style="dim"),
    )
    return row


def _rate(snapshot: Snapshot, settings: Settings) -> Text:
    return Text.assemble(
        (f"{snapshot.rate:,.0f}", "bold"),
        f" operations a second in the last {WINDOW_S:g} s ({settings.rate:g} wanted)",
    )


def _latency(snapshot: Snapshot) -> Text:
    shown = [f"{name} {ms:.1f} ms" for name, ms in snapshot.latencies_ms.items()]
    return Text("  ".join(shown) or "no answer yet")


def _tallies(snapshot: Snapshot) -> Text:
    parts = [f"{snapshot.operations:,} operations"]
    for kind, tally in snapshot.tallies.items():
        bad = "".join(f", {tally[end]:,} {end}" for end in ("fail", "info") if tally[end])
        parts.append(f"{kind} {tally['ok']:,}{bad}" if kind != "crash" else f"{kind}{bad[1:]}")
    return Text("  ".join(parts))


def _faults(snapshot: Snapshot) -> Text:
    if not snapshot.faults:
        return Text("none now", style="dim")
    shown = [f"{name} ({target})" if target else name for name, target in snapshot.faults.items()]
    return Text(", ".join(shown), style="yellow")


def _anomalies(snapshot: Snapshot) -> Text:
    if not snapshot.anomalies:
        return Text("none so far", style="green")
    found = ", ".join(f"{count:,} {name}" for name, count in snapshot.anomalies.items())
    return Text(found, style="bold red")
