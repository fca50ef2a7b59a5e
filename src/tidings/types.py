"""The vocabulary that every layer shares."""

from typing import Any, NamedTuple, NewType, TypeAlias

Slot = NewType("Slot", int)
"""A place in the journal: 0, 1, 2, … Filled once, never changed."""

Offset = NewType("Offset", int)
"""A record's place in its partition: dense, from 0."""


class TopicPartition(NamedTuple):
    """The name of one partition."""

    topic: str
    partition: int


Json: TypeAlias = Any
"""Any value that JSON can carry."""
