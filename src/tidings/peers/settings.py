"""Every bound and interval of the way between nodes."""

from dataclasses import dataclass
from typing import NamedTuple

from tidings.ports import MESSAGE_BYTES_MAX

SECRET_BYTES_MIN = 16
"""Who poses as a node gets something to try secrets on, so they must be too many to try."""

NODE_ID_CHARACTERS_MAX = 200
"""The longest name of a node."""

HANDSHAKE_FRAME_BYTES_MAX = 2048
"""The longest frame that is read from somebody who has not shown that they know the secret."""

QUEUE_MESSAGES_MAX = 1000
"""As many messages wait for one node at most; the oldest are dropped."""

QUEUE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
"""As many bytes, likewise: room for the longest message and what is usual beside it."""

HANDSHAKES_MAX = 64
"""Connections that may be shaking hands at once; more are closed unheard."""


class PeerAddress(NamedTuple):
    """Where a node listens for others."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Intervals."""

    handshake_s: float = 5
    """A connection is made, and both sides have shown the secret, in this time, or it is closed."""

    beat_interval_s: float = 1
    """Each side of a connection sends something this often."""

    silence_s_max: float = 10
    """A connection is closed from which nothing whole came for so long."""

    retry_min_s: float = 0.1
    """The pause before a lost connection is made again; it doubles with each failure."""

    retry_max_s: float = 5
    """The longest such pause."""

    complaint_interval_s: float = 10
    """Strangers who are refused are told of in the log this often at most."""
