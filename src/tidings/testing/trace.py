"""What happened in a run: counts, and, when it is to be read, one line for each event."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Final

LINES_MAX: Final = 2_000_000
"""Lines that a trace keeps; a run makes some ten thousand."""


class Trace:
    """Counts what happens by kind; keeps lines only if they are asked for.

    A line is: seconds of simulated time, the node or client, the event, and what it is about.
    """

    def __init__(self, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.lines: list[str] = []
        self.counts: Counter[str] = Counter()
        self.now_s: Callable[[], float] = lambda: 0.0

    def count(self, kind: str) -> None:
        """Count something that happened."""
        self.counts[kind] += 1

    def add(self, who: str, event: str, detail: object = "") -> None:
        """Keep a line. Where making the detail costs something, ask `is_kept` first."""
        if self.is_kept and len(self.lines) < LINES_MAX:
            self.lines.append(f"{self.now_s():12.6f}  {who:<8}  {event:<20}  {detail}".rstrip())

    def digest(self) -> str:
        """Return a hash of all lines: the same run has the same."""
        return hashlib.blake2b("\n".join(self.lines).encode(), digest_size=16).hexdigest()
