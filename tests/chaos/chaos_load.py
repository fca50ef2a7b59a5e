"""All the clients of a run: who works at the same time, for how long, and that they end."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from chaos_clients import (
    PATIENCE_S,
    TOPICS,
    MemberClient,
    ObserverClient,
    ProducerClient,
    ReaderClient,
    Work,
)
from chaos_history import Recorder

Client = ProducerClient | ReaderClient | MemberClient | ObserverClient


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients there are, and what they want."""

    seed: int
    rate: float = 60.0
    """Records a second that each producer tries to send."""
    producers: int = 2
    """To each topic."""
    members: int = 2
    life_s: float = 15.0
    """How long a client lives before it is replaced, about."""


@contextmanager
def at_work(work: Work, load: Load, others: Sequence[Client] = ()) -> Iterator[None]:
    """Let clients work, also others; then tell them to stop, and give them time to finish."""
    threads = [
        threading.Thread(target=_let_work, args=[client, work.recorder], daemon=True)
        for client in (*_clients(work, load), *others)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        work.stop.set()
        end_s = time.perf_counter() + PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, end_s - time.perf_counter()))
    if any(thread.is_alive() for thread in threads):
        work.recorder.complain(f"a client did not end within {PATIENCE_S} s")


def _clients(work: Work, load: Load) -> Iterator[Client]:
    for topic in TOPICS:
        for number in range(load.producers):
            rng = Random(f"{load.seed}/{topic}/{number}")
            yield ProducerClient(work, topic, rng, load.rate, load.life_s)
    yield ReaderClient(work, Random(f"{load.seed}/reader"), load.life_s)
    for number in range(load.members):
        yield MemberClient(work, Random(f"{load.seed}/member/{number}"), load.life_s)
    yield ObserverClient(work)


def _let_work(client: Client, recorder: Recorder) -> None:
    try:
        client.run()
    except Exception as error:  # noqa: BLE001 -- whatever ends a client is a finding
        recorder.complain(f"a client gave up: {error!r}")


def wait_for_commit(recorder: Recorder) -> None:
    """Wait until the group is at work again."""
    begin = len(recorder.events())
    end_s = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < end_s:
        time.sleep(0.2)
        if any(event.f == "commit" and event.type == "ok" for event in recorder.events()[begin:]):
            return
    recorder.complain(f"the group did not go on within {PATIENCE_S} s")
