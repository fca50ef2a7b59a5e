"""What a run is asked to do."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from tidings.types import Json


class LatencyDistribution(StrEnum):
    """How the delays of messages spread around their mean."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    EXPONENTIAL = "exponential"


class Fault(StrEnum):
    """What a nemesis does to the cluster."""

    PARTITION = "partition"
    KILL = "kill"
    PAUSE = "pause"
    LOSS = "loss"
    SLOW = "slow"
    DUPLICATE = "duplicate"


class PartitionKind(StrEnum):
    """Who does not hear whom in a partition."""

    HALVES = "halves"
    BRIDGE = "bridge"
    ONE = "one"
    ONE_WAY = "one-way"
    RING = "ring"


CLIENT_TIMEOUT_S: Final = 5.0
"""How long a client waits for one reply."""

INIT_TIMEOUT_S: Final = 10.0
"""How long a node has from its start to its `init_ok`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run. The defaults are Maelstrom's."""

    command: tuple[str, ...]
    """The node's executable and its arguments."""
    name: str = "a node"
    """What the command is called in reports."""
    store: Path
    """An existing directory for the history, the results and the nodes' logs."""
    node_count: int = 5
    concurrency: int = 5
    """How many workers; each has one operation in flight."""
    time_limit_s: float = 60.0
    """How long the main phase lasts, without the quiet time and the final polls."""
    rate: float = 5.0
    """Operations a second over all workers, on average."""
    latency_ms: float = 0.0
    """The mean delay of a message between nodes and services."""
    latency_distribution: LatencyDistribution = LatencyDistribution.CONSTANT
    faults: tuple[Fault, ...] = ()
    partition_kinds: tuple[PartitionKind, ...] = tuple(PartitionKind)
    """What partitions are drawn from."""
    nemesis_interval_s: float = 10.0
    """The mean time between two steps of one fault."""
    max_writes_per_key: int = 16
    recovery_s: float = 10.0
    """The quiet time between the last fault and the final polls."""
    final_polls_s: float = 10.0
    """How long clients read at the end of a run, at most."""
    seed: int = 0
    log_stderr: bool = False
    """Whether the nodes' stderr also goes to ours."""

    @property
    def node_ids(self) -> tuple[str, ...]:
        """The nodes are n0, n1, n2 and so on."""
        return tuple(f"n{index}" for index in range(self.node_count))

    def as_json(self) -> dict[str, Json]:
        """Return every setting by its name, as results have them."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: str(v) if isinstance(v, Path) else v for name, v in values}
