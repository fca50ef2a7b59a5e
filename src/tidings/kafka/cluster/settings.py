"""Every bound and interval of a broker among others."""

from dataclasses import dataclass

SWAP_TRIES_MAX = 20
"""How often a broker tries to change the cell in one go, while others change it."""

SWAP_PAUSE_S_MAX = 0.05
"""The longest pause between two such tries."""

PREFERENCES_MAX = 100_000
"""Partitions and groups whose preferred brokers are kept in memory."""


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Intervals."""

    beat_interval_s: float = 1.0
    """A broker changes its beat, and looks at those of the others, this often."""

    session_s: float = 8.0
    """A broker whose beat stood still for so long is taken for dead: longer than a store that
    changes its leader lets a beat wait."""

    unlinked_session_s: float = 3.0
    """The same for a broker to which there is no connection: most have died."""

    forget_s: float = 60.0
    """What a broker that stood still for so long registered is deleted."""

    leave_patience_s: float = 2.0
    """How long a broker that ends tries to say so."""
