"""A run as its report needs it: what is in its folder, and the judgement."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tidings.checker.history import Event
from tidings.checker.operations import Operation, read_operations
from tidings.checker.verdict import Verdict
from tidings.types import Json
from tidings.workbench.figures import Figures, MessageFigures


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything that is known of one run."""

    name: str
    """What was run, in a word or two."""
    history: Sequence[Event]
    verdict: Verdict
    reasons: Sequence[str]
    """Why the run is not valid; empty if it is."""
    figures: Figures
    note: str | None = None
    """What a reader must know of the run first, such as that it was interrupted."""
    settings: dict[str, Json] | None = None
    """What was asked for, by the names of `Settings`; None if nobody wrote it down."""
    messages: MessageFigures | None = None
    rate: float | None = None
    """Operations a second while they were asked for."""
    messages_path: Path | None = None
    """Where the messages are, if they were kept."""

    @cached_property
    def operations(self) -> list[Operation]:
        """The clients' operations, in the order in which they completed."""
        return read_operations(self.history)

    @cached_property
    def duration_s(self) -> float:
        """When the last event happened; at least a little."""
        return max((event.time for event in self.history), default=0) / 1e9 + 1e-3

    def node_of(self, process: int | str) -> str | None:
        """Return the node that a process talked to, if that is known."""
        if self.settings is None or not isinstance(process, int):
            return None
        worker: int = process % self.settings["concurrency"]
        return f"n{worker % self.settings['node_count']}"

    def who(self, process: int | str) -> str:
        """Return a process's name for a reader, with its node if that is known."""
        node = self.node_of(process)
        return f"process {process}" + (f", on {node}" if node else "")
