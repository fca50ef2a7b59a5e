"""From the records of one call to the batches that are stored."""

from collections.abc import Sequence
from typing import NamedTuple

from tidings.embedded.records import NewRecord, Record
from tidings.engine.log import NewBatch
from tidings.errors import InvalidRequest
from tidings.kafka.append_rules import AppendRules, accept
from tidings.kafka.record_batch import HEADER_BYTES, Compression, Refusal
from tidings.kafka.records import RecordFields, encode_batch
from tidings.types import TopicPartition

_PRODUCE_VERSION = 13
"""The rules are those of this version of Produce, which allows every compression."""

_RECORD_OVERHEAD_BYTES = 36
"""What a record takes besides its key, value and headers, at most; …"""

_HEADER_OVERHEAD_BYTES = 10
"""… and a header besides its key and value."""


class PlacedRecord(NamedTuple):
    """A record of a call, and its place there."""

    place: int
    fields: RecordFields


class PlannedBatch(NamedTuple):
    """A batch to append, and the records in it."""

    new: NewBatch
    records: Sequence[PlacedRecord]
    log_append_time_ms: int
    """The time of all of its records; -1 if each has its own."""

    def appended(self, base_offset: int) -> list[tuple[int, Record]]:
        """Return the records as they are in the log, each with its place in the call."""
        topic, partition = self.new.partition
        return [
            (
                placed.place,
                Record(
                    topic,
                    partition,
                    base_offset + delta,
                    placed.fields.timestamp_ms
                    if self.log_append_time_ms < 0
                    else self.log_append_time_ms,
                    placed.fields.key,
                    placed.fields.value,
                    tuple(placed.fields.headers),
                ),
            )
            for delta, placed in enumerate(self.records)
        ]


def fields_of(record: NewRecord | bytes, now_ms: int) -> RecordFields:
    """Return what a record says; one that has no time gets `now_ms`.

    Raises:
        InvalidRequest: It is no record.
    """
    if isinstance(record, bytes):
        return RecordFields(now_ms, None, record, ())
    if not isinstance(record, NewRecord):
        raise InvalidRequest(f"a record is a NewRecord or bytes, not {type(record).__name__}")
    for content in (record.key, record.value, *(value for _, value in record.headers)):
        if content is not None and not isinstance(content, bytes):
            raise InvalidRequest(
                f"keys, values and header values are bytes or None, not {type(content).__name__}: "
                "encode them"
            )
    timestamp_ms = now_ms if record.timestamp_ms is None else record.timestamp_ms
    if timestamp_ms < 0:
        raise InvalidRequest(f"a timestamp is not negative, as {timestamp_ms} is")
    return RecordFields(timestamp_ms, record.key, record.value, tuple(record.headers))


def plan_batches(
    name: TopicPartition,
    records: Sequence[PlacedRecord],
    compression: Compression,
    rules: AppendRules,
    now_ms: int,
) -> list[PlannedBatch]:
    """Return the batches that the records of one partition make: few, but none too large.

    Raises:
        InvalidRequest: The topic does not take one of them.
    """
    return [
        _plan(name, cut, compression, rules, now_ms)
        for cut in _cut(records, rules.max_message_bytes)
    ]


def _cut(records: Sequence[PlacedRecord], size_bytes_max: int) -> list[list[PlacedRecord]]:
    cuts: list[list[PlacedRecord]] = []
    size_bytes = size_bytes_max
    for record in records:
        size_bytes += _size_bytes(record.fields)
        if size_bytes > size_bytes_max:
            size_bytes = HEADER_BYTES + _size_bytes(record.fields)
            cuts.append([])
        cuts[-1].append(record)
    return cuts


def _size_bytes(fields: RecordFields) -> int:
    """Return the most that a record can take."""
    return (
        _RECORD_OVERHEAD_BYTES
        + len(fields.key or b"")
        + len(fields.value or b"")
        + sum(
            _HEADER_OVERHEAD_BYTES + 4 * len(key) + len(value or b"")
            for key, value in fields.headers
        )
    )


def _plan(
    name: TopicPartition,
    records: Sequence[PlacedRecord],
    compression: Compression,
    rules: AppendRules,
    now_ms: int,
) -> PlannedBatch:
    data = encode_batch([record.fields for record in records], compression)
    accepted = accept(data, rules, produce_version=_PRODUCE_VERSION, now_ms=now_ms)
    if isinstance(accepted, Refusal):
        raise InvalidRequest(f"{name.topic} does not take this: {accepted.text}")
    new = NewBatch(name, accepted.data, len(records), None, accepted.max_timestamp_ms)
    return PlannedBatch(new, records, accepted.log_append_time_ms)
