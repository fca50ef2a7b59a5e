"""Puts a whole cluster under faults while real clients use it, and judges what they saw.

    PYTHONPATH=tests/servers python tests/chaos/cluster_run.py
                                      [--minutes 60] [--store etcd|postgres] [--seed 1]
                                      [--rate 15] [--no-java] [--keep FOLDER]

Three brokers stand on three members of etcd and an S3 server, or on one PostgreSQL, each of them
on a host of its own (`hosts`). A seed decides who is killed, paused, cut off from whom, and whose
clock is wrong (`cluster_plan`); producers, readers and the members of a group, confluent-kafka and
some Java, go on as if nothing were. In the end everything heals, and each broker is asked for all
records. The project's checker judges the history, and `chaos_judge` besides. Exits with 1 if
anything is wrong; the folder with history and logs is kept then.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cluster_figures
import fetched
from chaos_clients import PARTITIONS, TOPICS, Work, create_topics, read_everything
from chaos_command import IMPOSSIBLE, carry_out, outcomes, say, verdict
from chaos_history import Recorder
from chaos_judge import Judgement, judge
from chaos_load import Load, at_work, wait_for_commit
from cluster_nemesis import Nemesis
from cluster_plan import KINDS, KINDS_OF_ONE_STORE, plan
from cluster_reads import read_from
from cluster_servers import ETCD, STORES, Cluster, cluster, wrong_clock
from confluent_kafka import KafkaException
from fetched import Missing
from hosts import Network, alone, why_not
from java_clients import java_clients, java_command

from tidings.checker.history import save_history

BROKERS = 3

ANSWER_MS = 10_000
"""A request that got no answer for so long was lost on a way that was cut."""

_ALONE = "--alone"
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Settings:
    """One run."""

    seconds: float
    """How long there are faults, about."""
    folder: Path
    load: Load
    store: str = ETCD
    has_java: bool = True
    """Whether Kafka's own client is among the clients."""

    @property
    def kinds(self) -> Sequence[str]:
        """The faults that this kind of cluster can suffer."""
        return KINDS if self.store == ETCD else KINDS_OF_ONE_STORE


def obtain(store: str, *, has_java: bool = True) -> None:
    """Get what a run needs beside Python, once.

    Raises:
        Missing: Something cannot be had on this machine.
    """
    wrong_clock(Path())
    if has_java:
        java_command()
    if store == ETCD:
        fetched.program("etcd")
        fetched.versitygw()


class ClusterChaos:
    """One run of it. Only for a program that `hosts.alone` has started."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._recorder = Recorder()
        seed = settings.load.seed
        self._plan = plan(Random(f"{seed}/faults"), settings.seconds, BROKERS, settings.kinds)

    def run(self) -> Judgement:
        """Carry it out, and judge it."""
        settings = self._settings
        with cluster(settings.folder, Network(), settings.store, BROKERS) as servers:
            self._trouble(servers)
            self._end(servers)
        return self._judge()

    def _trouble(self, servers: Cluster) -> None:
        nemesis = Nemesis(servers, self._recorder, self._say_when)
        for member in servers.members:
            member.broker.start()
        nemesis.await_all()
        create_topics(servers.address, TOPICS, PARTITIONS)
        work = Work(servers.address, self._recorder, threading.Event(), ANSWER_MS)
        load = self._settings.load
        java = list(java_clients(work, load, self._settings.folder / "java.log"))
        with at_work(work, load, java if self._settings.has_java else []):
            nemesis.run(self._plan)
            nemesis.await_all()
            wait_for_commit(self._recorder)
        self._say_when("nothing is wrong any more; everything is read from every broker")
        try:
            read_everything(work)
        except KafkaException as error:
            self._recorder.complain(f"not everything could be read: {error}")
        for member in servers.members:
            read_from(member.name, member.broker.address, self._recorder)

    def _say_when(self, line: str) -> None:
        events = self._recorder.events()
        self._say(f"{events[-1].time / 1e9:8.1f} s  {len(events):9,} events  {line}")

    def _end(self, servers: Cluster) -> None:
        for member in servers.members:
            status = member.broker.exit_status()
            status = member.broker.terminate() if status is None else status
            if status != 0:
                self._recorder.complain(f"{member.name} ended with {status}")
            if _TRACEBACK in member.broker.log.read_text(errors="replace"):
                self._recorder.complain(f"a traceback is in {member.broker.log}")

    def _judge(self) -> Judgement:
        judgement = judge(self._recorder.events())
        save_history(self._settings.folder / "history.jsonl.gz", judgement.history)
        for line in self._summary(judgement):
            self._say(line)
        return judgement

    def _summary(self, judgement: Judgement) -> Iterator[str]:
        history = self._recorder.events()
        yield from outcomes(history, judgement)
        yield from cluster_figures.lines(history)
        yield from verdict(judgement)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60, help="how long there are faults")
    parser.add_argument("--store", choices=STORES, default=ETCD)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=15, help="records a second, each producer")
    parser.add_argument("--no-java", action="store_true", help="without Kafka's own client")
    parser.add_argument("--keep", type=Path, help="use this new folder, and keep it")
    parser.add_argument(_ALONE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Carry out one run; return the exit status."""
    arguments = _arguments()
    if not arguments.alone:
        reason = why_impossible(arguments.store, has_java=not arguments.no_java)
        if reason is not None:
            say(reason)
            return IMPOSSIBLE
        command = alone([sys.executable, *sys.argv, _ALONE])
        os.execvp(command[0], command)

    def run(folder: Path) -> Judgement:
        settings = Settings(
            seconds=60 * arguments.minutes,
            folder=folder,
            load=Load(seed=arguments.seed, rate=arguments.rate),
            store=arguments.store,
            has_java=not arguments.no_java,
        )
        return ClusterChaos(settings, say).run()

    return carry_out(arguments.keep, run)


def why_impossible(store: str, *, has_java: bool) -> str | None:
    """Return why there can be no such run on this machine; None if there can."""
    try:
        obtain(store, has_java=has_java)
    except Missing as missing:
        return str(missing)
    return why_not()


if __name__ == "__main__":
    sys.exit(main())
