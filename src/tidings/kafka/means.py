"""What a broker takes from the machine that it runs on; a simulation gives it something else."""

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from tidings.clock import SystemClock
from tidings.core.pages import PageFormat
from tidings.kafka.listening import listen
from tidings.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Time, chance, and a place to listen at."""

    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)
    """For what need only be spread."""
    secret_rng: random.Random = field(default_factory=random.SystemRandom)
    """For what nobody may guess, and for what nobody else may come upon."""
    listen: Callable[[str, int], socket.socket] = listen
    """Takes an address; see `tidings.kafka.listening.listen`."""
    page_format: PageFormat | None = None
    """See `tidings.engine.log.Log`."""
