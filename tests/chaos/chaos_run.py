"""Kills a broker at random moments while real clients use it, and judges what they saw.

    python tests/chaos/chaos_run.py [--kills 200] [--seed 1] [--rate 60] [--small-pages]
                                      [--keep FOLDER]

A broker on one folder and port is ended with SIGKILL, again and again: at work, as soon as it is
ready, and while it recovers. Producers, readers and the members of a group, all confluent-kafka, go
on as if nothing were; what they did and saw is a history, which the project's checker judges, and
`chaos_judge` besides. Exits with 1 if anything is wrong; the folder is kept then.

SIGKILL leaves the operating system alive, and what a process has written with it: this does not
show that data was synced to the disk.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from chaos_broker import SMALL_PAGES, START_PATIENCE_S, TIDINGS, FolderBroker
from chaos_clients import PARTITIONS, TOPICS, Work, create_topics, read_everything
from chaos_command import carry_out, outcomes, say, verdict
from chaos_history import NEMESIS, Recorder
from chaos_judge import Judgement, judge
from chaos_load import Load, at_work, wait_for_commit
from confluent_kafka import KafkaException

from tidings.checker.history import save_history

AT_WORK, WHEN_READY, STARTING = "at work", "when ready", "starting"

KILLS_A_VERIFY = 20
"""After each so many kills `tidings verify` looks at the folder."""

KILLS_A_REST = 10
REST_S = 8.0
"""Before each so many kills the broker lives for so long: more than a member's session, which
begins anew with the broker, as in Kafka. A group that waits for a dead member goes on then."""

_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    kills: int
    folder: Path
    load: Load
    work_s: float = 1.0
    """How long the broker works before it is killed at work, about."""
    small_pages: bool = False
    """Whether the broker is at upkeep all the time."""


class Chaos:
    """One run of it."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._rng = Random(f"{settings.load.seed}/kills")
        self._recorder = Recorder()
        self._log = settings.folder / "broker.log"
        self._broker = FolderBroker(
            settings.folder / "data", self._log, SMALL_PAGES if settings.small_pages else TIDINGS
        )
        self._starts_s: list[float] = []
        self._verified = 0
        self._said = ""

    def run(self) -> Judgement:
        """Carry it out, and judge it."""
        self._start()
        create_topics(self._broker.address, TOPICS, PARTITIONS)
        work = Work(self._broker.address, self._recorder, threading.Event())
        with at_work(work, self._settings.load):
            for number in range(1, self._settings.kills + 1):
                self._kill(number)
                if number % KILLS_A_VERIFY == 0 or number == self._settings.kills:
                    self._verify()
                if number % KILLS_A_VERIFY == 0:
                    self._say(f"{number} kills, {len(self._recorder.events()):,} events")
            self._start()
            wait_for_commit(self._recorder)
        try:
            read_everything(work)
        except KafkaException as error:
            self._recorder.complain(f"not everything could be read: {error}")
        self._end()
        return self._judge()

    def _kill(self, number: int) -> None:
        """Start the broker if it does not run, let it run for a while, and kill it."""
        when = self._rng.choices([AT_WORK, WHEN_READY, STARTING], [6, 2, 2])[0]
        is_after_rest = number % KILLS_A_REST == 0
        if is_after_rest:
            when = AT_WORK
        if number > 1:
            if when == STARTING:
                self._broker.start()
                usual_s = median(self._starts_s)
                self._broker.is_ready_within(self._rng.uniform(0, 1.2 * usual_s))
            else:
                self._start()
        if when == AT_WORK:
            rest_s = REST_S if is_after_rest else 0.0
            time.sleep(rest_s + self._rng.uniform(0.1, 1.9) * self._settings.work_s)
        elif when == WHEN_READY:
            time.sleep(self._rng.uniform(0, 0.1))
        self._note_unless_alive()
        self._broker.kill()
        self._recorder.note("info", NEMESIS, "kill", when)

    def _start(self) -> None:
        begin_s = time.perf_counter()
        self._broker.start()
        if not self._broker.is_ready_within(START_PATIENCE_S):
            self._recorder.complain(f"the broker was not ready within {START_PATIENCE_S} s")
        self._starts_s.append(time.perf_counter() - begin_s)

    def _note_unless_alive(self) -> None:
        status = self._broker.exit_status()
        if status is not None:
            self._recorder.complain(f"the broker ended by itself, with {status}: see {self._log}")

    def _verify(self) -> None:
        is_sound, said = self._broker.verify()
        self._verified += 1
        self._said = said
        if not is_sound:
            self._recorder.complain(f"tidings verify found: {said}")

    def _end(self) -> None:
        self._note_unless_alive()
        status = self._broker.terminate()
        if status != 0:
            self._recorder.complain(f"the broker ended with {status} after SIGTERM")
        self._verify()
        if _TRACEBACK in self._log.read_text(errors="replace"):
            self._recorder.complain(f"a traceback is in {self._log}")

    def _judge(self) -> Judgement:
        judgement = judge(self._recorder.events())
        save_history(self._settings.folder / "history.jsonl.gz", judgement.history)
        for line in self._summary(judgement):
            self._say(line)
        return judgement

    def _summary(self, judgement: Judgement) -> Iterator[str]:
        events = self._recorder.events()
        kills = Counter(event.value for event in events if event.f == "kill")
        yield f"kills       {kills.total():9,}  " + ", ".join(
            f"{count} {when}" for when, count in sorted(kills.items())
        )
        starts = sorted(self._starts_s)
        times = f"median {median(starts):.2f} s, slowest {starts[-1]:.2f} s"
        yield f"starts      {len(starts):9,}  {times}"
        yield f"verified    {self._verified:9,}  times"
        yield from outcomes(events, judgement)
        yield from self._said.splitlines()
        yield from verdict(judgement)


def main() -> int:
    """Carry out one run; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=60, help="records a second, each producer")
    parser.add_argument("--keep", type=Path, help="use this new folder, and keep it")
    parser.add_argument("--small-pages", action="store_true", help="be at upkeep all the time")
    arguments = parser.parse_args()

    def run(folder: Path) -> Judgement:
        settings = Settings(
            kills=arguments.kills,
            folder=folder,
            load=Load(seed=arguments.seed, rate=arguments.rate),
            small_pages=arguments.small_pages,
        )
        return Chaos(settings, say).run()

    return carry_out(arguments.keep, run)


if __name__ == "__main__":
    sys.exit(main())
