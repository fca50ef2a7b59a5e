import asyncio
import io
from typing import Any

from in_process import make_settings
from rich.console import Console
from test_summary import history, polled, sent

from tidings.checker.history import Event
from tidings.testing.loop import run
from tidings.workbench.network import Traffic
from tidings.workbench.progress import Progress, status_line
from tidings.workbench.spectators import (
    LiveSpectator,
    PlainSpectator,
    make_spectator,
    render,
)

FAULT: Any = ("nemesis", "info", "start-partition", {"n0": ["n1"], "n1": []})
HEALED: Any = ("nemesis", "info", "stop-partition", None)
KILLED: Any = ("nemesis", "info", "kill", ["n1", "n2"])
SKIP = [
    *sent(0, "k", 0, 1),
    *sent(0, "k", 1, 2),
    *sent(0, "k", 2, 3),
    *polled(1, {"k": [[0, 1], [2, 3]]}),
]


def progress_of(events: list[Event], traffic: Traffic | None = None) -> Progress:
    progress = Progress(make_settings(time_limit_s=20.0), traffic or Traffic())
    for event in events:
        progress.observe(event)
    return progress


def shown(events: list[Event]) -> str:
    console = Console(file=io.StringIO(), width=100)
    progress = progress_of(events)
    console.print(render(progress.at(events[-1].time / 1e9), progress.settings))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_progress_sums_up_operations_latencies_and_messages() -> None:
    snapshot = progress_of(history(*SKIP), Traffic(by_peer={"nodes": 6})).at(7.0)
    assert snapshot.operations == 4
    assert snapshot.tallies["send"] == {"ok": 3, "fail": 0, "info": 0}
    assert snapshot.latencies_ms["p50"] == 1000
    assert snapshot.messages_per_operation == 1.5


def test_progress_rate_is_that_of_the_last_seconds() -> None:
    progress = progress_of(history(*SKIP))
    assert progress.at(7.0).rate == 3 / 5  # those that ended at 3, 5 and 7 s
    assert progress.at(100.0).rate == 0


def test_progress_knows_the_faults_that_are_on() -> None:
    progress = progress_of(history(FAULT, KILLED))
    assert progress.at(2.0).faults == {"partition": "n0 hears no n1", "kill": "n1 n2"}
    for event in history(HEALED, ("nemesis", "info", "start", ["n1"])):  # type: ignore[arg-type]
        progress.observe(event)
    assert progress.at(3.0).faults == {}


def test_progress_names_anomalies_in_words_for_each_kind_of_watcher() -> None:
    events = history(*SKIP, FAULT)
    line = status_line(progress_of(events).at(8.0))
    for text in (line, shown(events)):
        assert "1 int-poll-skip" in text
        assert "partition" in text
    assert "none so far" in shown(history(*SKIP[:2]))


def test_plain_spectator_says_now_and_then_how_it_goes() -> None:
    said: list[str] = []
    spectator = PlainSpectator(said.append, said.append)
    spectator.begin(make_settings(), Traffic())
    for event in history(*SKIP * 3):
        spectator.observe(event)
    spectator.end()
    assert [line.split()[0] for line in said] == ["5.0", "10.0", "15.0", "20.0"]


def test_spectator_of_what_is_no_terminal_is_plain() -> None:
    assert isinstance(make_spectator(print, print), PlainSpectator)


def test_live_spectator_draws_and_leaves_only_what_was_said() -> None:
    out = io.StringIO()
    spectator = LiveSpectator(Console(file=out, force_terminal=True, width=100))

    async def main() -> None:
        spectator.begin(make_settings(), Traffic())
        for event in history(*SKIP):
            spectator.observe(event)
        spectator.say("something happened")
        await asyncio.sleep(1)
        spectator.end()
        await asyncio.sleep(1)

    run(main())
    text = out.getvalue()
    assert "something happened" in text
    assert "int-poll-skip" in text
