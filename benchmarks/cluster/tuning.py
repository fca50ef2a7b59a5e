"""The measurements behind the defaults of linger, inline and spill, for each kind of stores.

Three brokers are started anew for each value that is tried. A table has a column for each value,
and a rule says which of them should be the default.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import measures
from measures import Figures, latencies
from table import Table

import clients
from cluster.brokers import Brokers, brokers_on
from cluster.loads import CONNECTIONS, STEADY_CONNECTIONS, STEADY_RATE, Load
from cluster.stacks import Stack
from cluster.watching import PARTITIONS, Watched, watch
from tidings.engine.settings import KIB, MIB

BROKERS = 3

PROGRAM = str(Path(__file__).with_name("tuned.py"))

CLOSE = 1.25
"""A latency that is larger by no more than this is as good."""

SOME_CONNECTIONS = 50

Settings = Mapping[str, float]
"""What `tuned.py` is told."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that has a default."""

    title: str
    values: Mapping[str, Settings]
    """By the title of their column."""
    reference: str
    """The column that others are divided by."""
    measure: Callable[[Stack, Brokers, Load], Figures]
    advise: Callable[[Table], str]
    """Says what the figures are for."""

    def try_all(
        self, stack: Stack, load: Load, new_place: Callable[[], tuple[str, str]], table: Table
    ) -> None:
        """Measure each value once."""
        for column, settings in self.values.items():
            words = [f"{name}={value}" for name, value in settings.items()]
            with brokers_on(new_place(), BROKERS, program=(PROGRAM, *words)) as brokers:
                table.add(column, self.measure(stack, brokers, load))


def _new_topic(brokers: Brokers) -> str:
    topic = brokers.new_topic(PARTITIONS)
    clients.touch(brokers.address, topic, PARTITIONS)
    return topic


# Linger -------------------------------------------------------------------------------------------

LINGERS_MS = (0, 1, 2, 3, 5, 10)

SINGLE_P50 = "one batch at a time, p50 ms"
STEADY_P50 = "200 batches/s, p50 ms"


def _linger(stack: Stack, brokers: Brokers, load: Load) -> Figures:
    topic = _new_topic(brokers)
    steady = watch(
        stack,
        brokers,
        topic,
        connections=STEADY_CONNECTIONS,
        seconds=load.seconds,
        rate=STEADY_RATE,
    )
    full = watch(stack, brokers, topic, connections=CONNECTIONS, seconds=load.seconds)
    single_s = clients.one_by_one(brokers.address, topic, load.singles)
    return {
        **latencies("one batch at a time", single_s),
        STEADY_P50: steady.told["p50_ms"],
        "200 batches/s, p99 ms": steady.told["p99_ms"],
        "200 batches/s, appends for 1,000 batches": _appends(steady),
        f"{CONNECTIONS} connections, batches/s": full.told["requests_per_s"],
        f"{CONNECTIONS} connections, p50 ms": full.told["p50_ms"],
        f"{CONNECTIONS} connections, p99 ms": full.told["p99_ms"],
        f"{CONNECTIONS} connections, appends for 1,000 batches": _appends(full),
    }


def _appends(watched: Watched) -> float:
    return watched.asked.get("order append, calls", 0.0)


def longest_linger(table: Table) -> str:
    """Say the longest linger that costs hardly any latency: it saves the most calls."""
    columns = [_ms(linger) for linger in LINGERS_MS]
    best = _close_to_best(table, columns, (SINGLE_P50, STEADY_P50))
    if not best:
        return "No linger is good for both latencies."
    return f"The longest linger with both latencies close to the best: {best[-1]}."


def _ms(linger_ms: float) -> str:
    return f"{linger_ms:g} ms"


def _close_to_best(table: Table, columns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the columns in which all these figures are close to the least of all columns."""
    close = list(columns)
    for name in names:
        found = {column: table.median(name, column) for column in columns}
        least = min((figure for figure in found.values() if figure is not None), default=0.0)
        close = [
            column
            for column in close
            if (figure := found[column]) is not None and figure <= CLOSE * least
        ]
    return close


# Inline or in a blob ------------------------------------------------------------------------------

SIZES_KIB = (1, 4, 16, 64, 256)

INLINE, SPILLING, BLOB = "inline", "inline, spilling", "in blobs"


def _sizes(stack: Stack, brokers: Brokers, load: Load) -> Figures:
    topic = _new_topic(brokers)
    figures: Figures = {}
    for size_kib in SIZES_KIB:
        # The batch has some bytes besides its record.
        size = size_kib * KIB - 100
        single = measures.generate(
            brokers.address,
            topic,
            connections=1,
            seconds=load.seconds / 2,
            partitions=PARTITIONS,
            size=size,
        )
        some = watch(
            stack,
            brokers,
            topic,
            connections=SOME_CONNECTIONS,
            seconds=load.seconds,
            size=size,
        )
        figures |= {
            _single_p50(size_kib): single["p50_ms"],
            _many(size_kib): some.told["requests_per_s"] * size / 1e6,
            f"{size_kib} KiB, {SOME_CONNECTIONS} at a time, p50 ms": some.told["p50_ms"],
            f"{size_kib} KiB, cores of the order store": some.cores[f"cores of {stack.order_role}"],
        }
        for name, figure in some.asked.items():
            if "log" in name:
                figures[f"{size_kib} KiB, {name}, for each kB"] = figure / size_kib / 1000
    return figures


def _read_back(brokers: Brokers, topic: str, watched: Watched, size: int) -> float:
    """Read what was just produced; return megabytes a second.

    What is inline is still in memory, of a blob only its name.
    """
    count = round(watched.told["requests_per_s"] * watched.told["seconds"])
    taken = clients.consume(brokers.address, topic, count, PARTITIONS)
    return count * size / taken / 1e6


def _single_p50(size_kib: int) -> str:
    return f"{size_kib} KiB, one at a time, p50 ms"


def _many(size_kib: int) -> str:
    return f"{size_kib} KiB, {SOME_CONNECTIONS} at a time, MB/s"


def largest_inline(table: Table) -> str:
    """Say up to which size batches are better kept in entries, alone and many at a time."""
    found = ", ".join(f"{column}: {_largest(table, column)}" for column in (INLINE, SPILLING))
    return (
        f"The largest batch that is as well off there as in a blob, alone and with others: {found}."
    )


def _largest(table: Table, column: str) -> str:
    largest = "none"
    for size_kib in SIZES_KIB:
        alone = _ratio(table, _single_p50(size_kib), column)
        many = _ratio(table, _many(size_kib), column)
        if alone is None or many is None or alone > CLOSE or many * CLOSE < 1:
            break
        largest = f"{size_kib} KiB"
    return largest


def _ratio(table: Table, name: str, column: str) -> float | None:
    """Return a figure divided by that of blobs."""
    own, other = table.median(name, column), table.median(name, BLOB)
    return None if own is None or not other else own / other


# Spill --------------------------------------------------------------------------------------------

SUBMISSIONS_KIB = (32, 64, 128, 256, 512)

NO_SPILL = "no spill"

SPILL_P50 = f"16 KiB, {CONNECTIONS} at a time, p50 ms"


def _submissions(stack: Stack, brokers: Brokers, load: Load) -> Figures:
    topic = _new_topic(brokers)
    size = 16 * KIB - 100
    found = watch(stack, brokers, topic, connections=CONNECTIONS, seconds=load.seconds, size=size)
    return {
        f"16 KiB, {CONNECTIONS} at a time, MB/s": found.told["requests_per_s"] * size / 1e6,
        SPILL_P50: found.told["p50_ms"],
        f"16 KiB, {CONNECTIONS} at a time, p99 ms": found.told["p99_ms"],
        "16 KiB, read soon after, MB/s": _read_back(brokers, topic, found, size),
        **{f"for 1,000 batches: {name}": figure for name, figure in found.asked.items()},
        **found.cores,
    }


def best_submission(table: Table) -> str:
    """Say what spills early, so that the order store carries little, at hardly any latency."""
    columns = [*(_kib(size) for size in SUBMISSIONS_KIB), NO_SPILL]
    best = _close_to_best(table, columns, (SPILL_P50,))
    return f"The least with a latency close to the best: {best[0] if best else 'none'}."


def _kib(size_kib: int) -> str:
    return f"{size_kib} KiB"


# All ----------------------------------------------------------------------------------------------

CHOICES = {
    "linger": Choice(
        "The least time between two publishes (`linger_s`); in brackets, divided by 5 ms.",
        {_ms(linger): {"linger_s": linger / 1000} for linger in LINGERS_MS},
        "5 ms",
        _linger,
        longest_linger,
    ),
    "inline": Choice(
        "Batches of each size in entries, without end or until a submission has 128 KiB of them, "
        "and in blobs (`inline_bytes_max`); in brackets, divided by blobs.",
        {
            INLINE: {"inline_bytes_max": MIB, "spill_bytes_max": 0},
            SPILLING: {
                "inline_bytes_max": MIB,
                "submission_bytes_max": 128 * KIB,
                "spill_bytes_max": 8 * MIB,
            },
            BLOB: {"inline_bytes_max": 0, "spill_bytes_max": 0},
        },
        BLOB,
        _sizes,
        largest_inline,
    ),
    "spill": Choice(
        "What one submission has inline before all of it goes to a blob (`submission_bytes_max`); "
        "in brackets, divided by 128 KiB.",
        {
            **{
                _kib(size): {"submission_bytes_max": size * KIB, "spill_bytes_max": 8 * MIB}
                for size in SUBMISSIONS_KIB
            },
            NO_SPILL: {"submission_bytes_max": 256 * KIB, "spill_bytes_max": 0},
        },
        "128 KiB",
        _submissions,
        best_submission,
    ),
}
