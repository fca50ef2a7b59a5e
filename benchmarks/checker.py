"""How long the checker takes, and that its cost grows about linearly.

    python benchmarks/checker.py [--sizes 1000,10000,100000] [--shapes kafka,hot-key,txn]

Each line judges one valid history, made by an in-memory log with concurrent clients:

    kafka    as Maelstrom's workload: about ten live keys, 16 messages a key, one send to several
             polls, assignments, and at the end every client reads every key from its start
    hot-key  one key takes all messages
    txn      as kafka, but operations mix sends and polls, so that cycles must be searched for

Seconds are of processor time, and those to make the history are not counted.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from tidings.checker.history import Event
from tidings.checker.kafka import check
from tidings.types import Json

CLIENTS = 10
MESSAGES_PER_KEY = 16
LIVE_KEYS = 10
POLL_RECORDS_MAX = 100
EVENT_GAP_NS = 1_000_000
SHAPES = ("kafka", "hot-key", "txn")


@dataclass
class Client:
    """A client: its position in each key assigned to it, and what it is doing."""

    positions: dict[str, int] = field(default_factory=dict)
    doing: tuple[str, Json, Json] | None = None
    """The operation's kind and its value when invoked and when complete."""


@dataclass
class Workload:
    """An in-memory log with clients that use it, and the history of what they did."""

    rng: random.Random
    shape: str
    logs: dict[str, list[int]] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    clients: list[Client] = field(default_factory=lambda: [Client() for _ in range(CLIENTS)])
    events: list[Event] = field(default_factory=list)

    def run(self, operations: int) -> list[Event]:
        """Return a history of about this many operations, final reads included."""
        self.live = [self._new_key() for _ in range(1 if self.shape == "hot-key" else LIVE_KEYS)]
        while len(self.events) < 2 * operations:
            process = self.rng.randrange(CLIENTS)
            if self.clients[process].doing is None:
                self._invoke(process, *self._choose(self.clients[process]))
            else:
                self._complete(process)
        for process in range(CLIENTS):
            if self.clients[process].doing is not None:
                self._complete(process)
        for _ in range(CLIENTS):
            self._read_everything()
        return self.events

    def _choose(self, client: Client) -> tuple[str, Json, Json]:
        """Do the operation on the log; return its kind and its two values."""
        if not client.positions or self.rng.random() < 1 / 64:
            client.positions = {key: client.positions.get(key, 0) for key in self.live}
            return "assign", list(self.live), list(self.live)
        if self.shape == "txn" and self.rng.random() < 1 / 2:
            invoked, completed = self._poll(client)
            sent, acknowledged = self._send()
            return "txn", invoked + sent, completed + acknowledged
        if self.rng.random() < 1 / 4:
            return "send", *self._send()
        return "poll", *self._poll(client)

    def _send(self) -> tuple[list[Json], list[Json]]:
        place = self.rng.randrange(len(self.live))
        key = self.live[place]
        log = self.logs[key]
        offset, message = len(log), len(log) + 1
        log.append(message)
        if message == MESSAGES_PER_KEY and self.shape != "hot-key":
            self.live[place] = self._new_key()
        return [["send", key, message]], [["send", key, [offset, message]]]

    def _poll(self, client: Client) -> tuple[list[Json], list[Json]]:
        polled = {}
        for key, position in client.positions.items():
            records = self.logs[key][position : position + POLL_RECORDS_MAX]
            if records:
                polled[key] = [[position + i, message] for i, message in enumerate(records)]
                client.positions[key] = position + len(records)
        return [["poll"]], [["poll", polled]]

    def _read_everything(self) -> None:
        """Let a fresh client read all there is."""
        client = Client(dict.fromkeys(self.logs, 0))
        process = len(self.clients)
        self.clients.append(client)
        self._invoke(process, "assign", list(self.logs), list(self.logs))
        self._complete(process)
        more: Json = True
        while more:
            invoked, completed = self._poll(client)
            self._invoke(process, "poll", invoked, completed)
            self._complete(process)
            more = completed[0][1]

    def _new_key(self) -> str:
        key = str(len(self.logs))
        self.logs[key] = []
        return key

    def _invoke(self, process: int, f: str, value: Json, completed: Json) -> None:
        self.clients[process].doing = (f, value, completed)
        self._record("invoke", process, f, value)

    def _complete(self, process: int) -> None:
        doing = self.clients[process].doing
        assert doing is not None, "only a busy client completes"
        self.clients[process].doing = None
        self._record("ok", process, doing[0], doing[2])

    def _record(self, kind: str, process: int, f: str, value: Json) -> None:
        self.events.append(
            Event(
                index=len(self.events),
                time=EVENT_GAP_NS * len(self.events),
                type="invoke" if kind == "invoke" else "ok",
                process=process,
                f=f,
                value=value,
            )
        )


def measure(sizes: list[int], shapes: list[str]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'shape':8} {'operations':>10} {'records':>10} {'seconds':>8} {'µs/op':>6}"
    for shape in shapes:
        for size in sizes:
            rng = random.Random(f"{shape}/{size}")
            history = Workload(rng, shape).run(size)
            started = time.process_time()
            verdict = check(history)
            seconds = time.process_time() - started
            assert verdict.valid, verdict.anomaly_counts
            operations = len(history) // 2
            yield (
                f"{shape:8} {operations:10,} {_polled_records(history):10,} {seconds:8.2f} "
                f"{seconds / operations * 1e6:6.1f}"
            )


def _polled_records(history: list[Event]) -> int:
    return sum(
        len(records)
        for event in history
        if event.type == "ok" and event.f in ("poll", "txn")
        for micro_operation in event.value
        if micro_operation[0] == "poll"
        for records in micro_operation[1].values()
    )


@click.command(help=__doc__)
@click.option("--sizes", default="1000,10000,60000,200000", show_default=True)
@click.option("--shapes", default=",".join(SHAPES), show_default=True)
def main(sizes: str, shapes: str) -> None:
    """Print the table."""
    for line in measure([int(size) for size in sizes.split(",")], shapes.split(",")):
        click.echo(line)


if __name__ == "__main__":
    main()
