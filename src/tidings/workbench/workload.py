"""The kafka workload: which operations are asked for, in which order.

Pure: time and randomness come in, operations come out, completed ones are told back. Who performs
an operation, and when, is decided elsewhere (`tidings.workbench.runner`).

- Half of the operations send, half poll. Ten keys are live; each is twice as popular as the one
  before. After `max_writes_per_key` sends a key is retired and a new one takes its place. The
  messages of a key are 1, 2, 3, …
- With probability 1/64 an assign of the key that the next operation would touch goes before it;
  a third of these assigns also take in every key that has records sent but not polled.
- A client crashes at the start, and then every 30 s / concurrency on average.

Source: jepsen.tests.kafka, and wr-txns in Elle's generator.
"""

from random import Random
from typing import Final, NamedTuple

from tidings.checker.history import Event
from tidings.workbench.operations import Operation

LIVE_KEYS: Final = 10
ASSIGN_PROBABILITY: Final = 1 / 64
POLL_UNSEEN_PROBABILITY: Final = 1 / 3
CRASH_INTERVAL_S: Final = 30.0


class _Touch(NamedTuple):
    """A send or poll that is due, and the key it is about."""

    key: int
    operation: Operation


class KafkaWorkload:
    """Makes the operations of the main phase; `next_operation` never runs dry."""

    def __init__(self, rng: Random, *, concurrency: int, max_writes_per_key: int) -> None:
        self._rng = rng
        # Apart, so that when clients crash does not change what they are asked to do.
        self._crash_rng = Random(rng.random())
        self._max_writes_per_key = max_writes_per_key
        self._crash_spread_s = 2 * CRASH_INTERVAL_S / concurrency
        self._crash_at_s = 0.0
        self._live_keys = list(range(LIVE_KEYS))
        self._popularity = [2**place for place in range(LIVE_KEYS)]
        # How many messages each key has been given.
        self._written: dict[int, int] = {}
        # The send or poll before which an assign was put.
        self._postponed: _Touch | None = None
        # Of each key that is not caught up: the highest offsets sent and polled so far.
        self._sent: dict[str, int] = {}
        self._polled: dict[str, int] = {}
        # The highest offset known of each key, from sends and polls.
        self._highest: dict[str, int] = {}

    @property
    def highest_offsets(self) -> dict[str, int]:
        """The highest offset seen of each key: what the final polls must reach."""
        return dict(sorted(self._highest.items(), key=lambda item: int(item[0])))

    def next_operation(self, now_s: float) -> Operation:
        """Return what is to be done at `now_s` seconds since the start."""
        if now_s >= self._crash_at_s:
            self._crash_at_s = now_s + self._crash_rng.uniform(0, self._crash_spread_s)
            return Operation("crash")
        touch = self._postponed or self._touch()
        if self._rng.random() < ASSIGN_PROBABILITY:
            self._postponed = touch
            return self._assign(touch.key)
        self._postponed = None
        return touch.operation

    def observe(self, event: Event) -> None:
        """Learn from a completed operation."""
        if event.type != "ok":
            return
        sent, polled = sent_offsets(event), polled_offsets(event)
        for known, news in (
            (self._sent, sent),
            (self._polled, polled),
            (self._highest, sent),
            (self._highest, polled),
        ):
            _raise_to(known, news)
        for key in (*sent, *polled):
            if self._polled.get(key, -1) >= self._sent.get(key, -1):
                self._sent.pop(key, None)
                self._polled.pop(key, None)

    def _touch(self) -> _Touch:
        while True:
            is_send = self._rng.random() < 0.5
            place = self._choose_place()
            key = self._live_keys[place]
            if not is_send:
                return _Touch(key, Operation("poll", [["poll"]]))
            message = self._written.get(key, 0) + 1
            if message <= self._max_writes_per_key:
                self._written[key] = message
                return _Touch(key, Operation("send", [["send", str(key), message]]))
            self._live_keys[place] = max(self._live_keys) + 1

    def _choose_place(self) -> int:
        return self._rng.choices(range(LIVE_KEYS), self._popularity)[0]

    def _assign(self, key: int) -> Operation:
        keys = [str(key)]
        if self._rng.random() < POLL_UNSEEN_PROBABILITY:
            keys = [*self._sent, *(name for name in keys if name not in self._sent)]
        return Operation("assign", keys)


class FinalPolls:
    """What one worker does at the end: begin anew, and read everything there is.

    Give it every completed operation; it is done once all `targets` have been polled.
    """

    def __init__(self, targets: dict[str, int]) -> None:
        self._missing = dict(targets)
        self.opening = (
            Operation("crash"),
            Operation("assign", list(targets), seek_to_beginning=True),
        )

    @property
    def is_done(self) -> bool:
        """Whether every key has been polled as far as is known."""
        return not self._missing

    def observe(self, event: Event) -> None:
        """Learn from a completed operation."""
        if event.type == "ok":
            for key, offset in polled_offsets(event).items():
                if offset >= self._missing.get(key, offset + 1):
                    del self._missing[key]


def sent_offsets(event: Event) -> dict[str, int]:
    """Return the offset that a completed send was given, by key; else nothing."""
    if event.f != "send":
        return {}
    return {key: pair[0] for _, key, pair in event.value}


def polled_offsets(event: Event) -> dict[str, int]:
    """Return the highest offset that a completed poll returned of each key; else nothing."""
    if event.f != "poll":
        return {}
    [[_, records]] = event.value
    return {key: max(pair[0] for pair in pairs) for key, pairs in records.items() if pairs}


def _raise_to(known: dict[str, int], news: dict[str, int]) -> None:
    for key, offset in news.items():
        known[key] = max(known.get(key, -1), offset)
