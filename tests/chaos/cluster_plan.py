"""Which faults a cluster suffers, when, and who suffers them; a seed decides all before it runs.

Faults come in bouts: one, two or three of different scopes that overlap, then a rest in which
everything must recover. Within a scope one fault is over before the next begins, so that what ends
one does not end another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

KILL_BROKERS = "kill brokers"
PAUSE_BROKERS = "pause brokers"
STOP_BROKERS = "stop brokers"
CUT_BROKERS = "cut brokers from each other"
CUT_CLIENTS = "cut brokers from clients"
CUT_ORDER = "cut brokers from the order store"
CUT_BLOBS = "cut brokers from the blob store"
SHIFT_CLOCKS = "shift clocks of brokers"
KILL_ORDER = "kill the order store's leader"
PAUSE_ORDER = "pause the order store's leader"
ISOLATE_ORDER = "cut the order store's leader from all others"
KILL_BLOBS = "kill the blob store"
PAUSE_BLOBS = "pause the blob store"

_SCOPES = {
    KILL_BROKERS: "processes",
    PAUSE_BROKERS: "processes",
    STOP_BROKERS: "processes",
    CUT_BROKERS: "between brokers",
    CUT_CLIENTS: "to clients",
    CUT_ORDER: "to the order store",
    CUT_BLOBS: "to the blob store",
    SHIFT_CLOCKS: "clocks",
    KILL_ORDER: "order store",
    PAUSE_ORDER: "order store",
    # Among the ways that it cuts are those that CUT_ORDER cuts.
    ISOLATE_ORDER: "to the order store",
    KILL_BLOBS: "blob store",
    PAUSE_BLOBS: "blob store",
}

KINDS = tuple(_SCOPES)

KINDS_OF_ONE_STORE = tuple(
    kind for kind in KINDS if kind not in (ISOLATE_ORDER, CUT_BLOBS, KILL_BLOBS, PAUSE_BLOBS)
)
"""Where one server keeps order and blobs: all but what can only be done to two, or to three."""

FAULT_S = (1.0, 12.0)
"""How long a fault lasts: less and more than the sessions of members, and of brokers."""

REST_S = (4.0, 8.0)
LONG_REST_S = 15.0
"""How long nothing is wrong between two bouts; the longer one comes each `LONG_REST_EVERY` bouts,
so that also what waits for a session to end goes on."""
LONG_REST_EVERY = 4

SHIFT_S_MAX = 600
"""How far a clock is put forward or back: an S3 server refuses who is wrong by 15 minutes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for a while."""

    kind: str
    begin_s: float
    """In seconds from the beginning of the faults."""
    end_s: float
    brokers: tuple[int, ...]
    """Who suffers, by number; nobody where a store does."""
    one_way: bool = False
    """Whether a way is cut for what the brokers here named send, and not for what they get."""
    shift_s: int = 0
    """By how much clocks are wrong."""


def plan(
    rng: Random, duration_s: float, broker_count: int, kinds: Sequence[str] = KINDS
) -> list[Fault]:
    """Draw the faults of a run, in the order in which they begin, each kind about as often."""
    faults: list[Fault] = []
    bag = _bag(rng, kinds)
    begin_s = rng.uniform(*REST_S)
    bout_number = 0
    while begin_s < duration_s:
        bout_number += 1
        bout = _bout(rng, begin_s, broker_count, bag)
        faults += bout
        end_s = max(fault.end_s for fault in bout)
        is_long = bout_number % LONG_REST_EVERY == 0
        begin_s = end_s + (LONG_REST_S if is_long else rng.uniform(*REST_S))
    return sorted(faults, key=lambda fault: fault.begin_s)


def _bag(rng: Random, kinds: Sequence[str]) -> Iterator[str]:
    """Yield all kinds in some order, and again in another, without end."""
    while True:
        yield from rng.sample(kinds, len(kinds))


def _bout(rng: Random, begin_s: float, broker_count: int, bag: Iterator[str]) -> list[Fault]:
    faults: list[Fault] = []
    for _ in range(rng.choices([1, 2, 3], [5, 3, 2])[0]):
        kind = next(bag)
        first_s = max(
            (fault.end_s for fault in faults if _SCOPES[fault.kind] == _SCOPES[kind]),
            default=begin_s,
        )
        fault_begin_s = first_s + rng.uniform(0, 3)
        faults.append(_fault(rng, kind, fault_begin_s, broker_count))
    return faults


def _fault(rng: Random, kind: str, begin_s: float, broker_count: int) -> Fault:
    return Fault(
        kind=kind,
        begin_s=begin_s,
        end_s=begin_s + rng.uniform(*FAULT_S),
        brokers=_brokers(rng, broker_count) if kind.endswith(_OF_BROKERS) else (),
        one_way=kind in (CUT_BROKERS, CUT_ORDER, CUT_BLOBS) and rng.random() < 0.25,
        shift_s=rng.randint(-SHIFT_S_MAX, SHIFT_S_MAX) if kind == SHIFT_CLOCKS else 0,
    )


_OF_BROKERS = tuple(kind for kind in KINDS if "brokers" in kind)


def _brokers(rng: Random, broker_count: int) -> tuple[int, ...]:
    """Draw one broker mostly, some at times, and all of them at times."""
    count = rng.choices([1, max(1, broker_count - 1), broker_count], [6, 2, 2])[0]
    return tuple(sorted(rng.sample(range(broker_count), count)))
