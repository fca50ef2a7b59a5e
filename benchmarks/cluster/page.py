"""The page that a run writes: its tables, and how to read them."""

import shlex
import sys
from collections.abc import Iterator, Mapping

from table import Table

from cluster import limited, loads
from cluster.tuning import CHOICES
from cluster.watching import CORES, saturated

FLOOR = "floor"
NONE = ""
"""The reference of a table whose figures are divided by nothing."""

COLUMNS = ("1 broker", "2 brokers", "3 brokers")
ONE, _, ALL = COLUMNS

ABOUT = """
- *Floor*: the same write, made without us: etcd sets a new key, PostgreSQL inserts a row, with 170
  bytes; 100 KiB are put to the S3 server, and then a key is set. It is on disk when it is answered,
  as what we acknowledge is.
- *200 connections* have each one request in flight, with one batch of one record. *librdkafka* is
  one producer with linger.ms=5.
- *Cores of nobody* were idle; *others* is what else ran on the machine. With an append on its way
  nearly all the time, the order store is the limit; with no idle cores left, who uses most is.
- *For 1,000 batches*: what brokers count themselves (beats not included), and what etcd, the S3
  server and PostgreSQL count of all they were asked.
- *Limit*: what the order store may use of a core, all its processes together, while the machine has
  the rest; here the store is the limit by itself.
- *kill -9*: of the broker that publishes for all. Another broker is sent a record at once;
  librdkafka has to find out by itself who leads the partition now.
"""


class Tables:
    """What is told of brokers on one kind of stores."""

    def __init__(self, order_role: str) -> None:
        """`order_role` is what keeps the order."""
        self._order_role = order_role
        self.reached = Table([*COLUMNS, FLOOR], FLOOR)
        self.cores = Table(COLUMNS, NONE)
        self.asked = Table(COLUMNS, NONE)
        self.limited = Table(limited.columns(order_role), NONE)
        self.choices = {
            name: Table(list(choice.values), choice.reference) for name, choice in CHOICES.items()
        }

    def add(self, column: str, measured: loads.Measured) -> None:
        """Take the figures of one size of the cluster."""
        self.reached.add(column, measured.reached)
        self.cores.add(column, measured.cores)
        self.asked.add(column, measured.asked)

    def markdown(self) -> str:
        """Return all tables, with a line above each."""
        parts = [
            _shown("In brackets, divided by the floor.", self.reached),
            _shown(f"Cores in use with {loads.CONNECTIONS} connections at work.", self.cores),
            *self._limits(),
            _shown("The same load, for 1,000 batches.", self.asked),
            _shown(f"{limited.BROKERS} brokers on an order store with a limit.", self.limited),
            *limited.told(self._order_role, self.limited),
        ]
        for name, table in self.choices.items():
            choice = CHOICES[name]
            parts.append(_shown(f"{choice.title} {choice.advise(table)}", table))
        return "\n".join(part for part in parts if part)

    def _limits(self) -> Iterator[str]:
        for column in COLUMNS:
            if cores := self.cores.medians(column):
                yield f"Saturated with {column}: {saturated(cores)}.\n"


def _shown(title: str, table: Table) -> str:
    """Return a table with a line above; nothing if it is empty."""
    return f"{title}\n\n{table.markdown()}" if table else ""


def page(conditions: str, tables: Mapping[str, Tables]) -> str:
    """Return the page, with tables by the name of the stores."""
    command = shlex.join(["python", "benchmarks/cluster", *sys.argv[1:]])
    parts = [
        "# Figures of a cluster",
        f"```sh\n{command}\n```",
        f"wrote this page: {conditions}, {CORES} cores for clients, brokers and stores.",
        ABOUT,
        *(f"## On {name}\n\n{found.markdown()}" for name, found in tables.items()),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"
