"""Every exception that Tidings raises on purpose.

    TidingsError
    ├── InvalidRequest            fix the call; it had no effect
    ├── UnknownTopicOrPartition   create the topic, or wait until it is known
    ├── OffsetOutOfRange          the offset lies outside the log; it had no effect
    ├── Fenced                    somebody newer has taken over; stop
    ├── OutOfOrderSequence        an idempotent producer skipped a batch; it had no effect
    ├── Unavailable               definitely not done; try again later
    ├── Indeterminate             may or may not be done; repeat only what is idempotent
    └── Corrupt                   stored bytes are not what was written; stop and tell

A kind exists only where a caller would act differently. Each face owns the mapping to its own
codes. Texts say what to do; they are no API.
"""

from typing import ClassVar


class TidingsError(Exception):
    """The root; raised only as one of its leaves."""

    definite: ClassVar[bool] = True
    """Whether the operation certainly did not happen and will not."""


class InvalidRequest(TidingsError):
    """The call itself is wrong; the text says what to change."""


class UnknownTopicOrPartition(TidingsError):
    """No such topic or partition at the place in the journal where the operation was applied."""


class OffsetOutOfRange(TidingsError):
    """An offset below the log start offset or beyond what an operation allows."""


class Fenced(TidingsError):
    """A newer producer epoch or group generation exists; this caller must stop."""


class OutOfOrderSequence(TidingsError):
    """An idempotent producer's sequence number is not the next one for its partition."""


class Unavailable(TidingsError):
    """Something needed is away or full; the operation was not started."""


class Indeterminate(TidingsError):
    """No answer came in time; the operation may still take effect."""

    definite = False


class Corrupt(TidingsError):
    """Stored bytes fail their check or have a layout this version does not know."""

    definite = False
