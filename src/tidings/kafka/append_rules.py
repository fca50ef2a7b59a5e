"""What a topic's configs ask of a batch that is to be appended."""

from collections.abc import Mapping
from typing import NamedTuple

from kio.schema.errors import ErrorCode

from tidings.engine.log import NewBatch
from tidings.errors import InvalidRequest
from tidings.kafka.record_batch import (
    BatchHeader,
    Refusal,
    check,
    read_plain,
    with_log_append_time,
)
from tidings.kafka.record_times import first_without_key, record_times
from tidings.types import TopicPartition

_FOR_EVER_MS = 2**63 - 1
_NO_TIMESTAMP_MS = -1


class AppendRules(NamedTuple):
    """The configs of a topic that matter when something is appended; Kafka's defaults."""

    max_message_bytes: int = 1024 * 1024 + 12
    log_append_time: bool = False
    before_max_ms: int = _FOR_EVER_MS
    after_max_ms: int = 60 * 60 * 1000
    needs_keys: bool = False
    """Whether every record needs a key, as those of compacted topics do."""


class Accepted(NamedTuple):
    """A batch as it is to be stored."""

    data: bytes
    header: BatchHeader
    max_timestamp_ms: int
    log_append_time_ms: int
    """-1 if the records keep the time of their producer."""


_DEFAULT = AppendRules()


def rules_of(configs: Mapping[str, str]) -> AppendRules:
    """Return the rules of a topic with these configs, all of which are well-formed."""
    if not configs:
        return _DEFAULT
    return AppendRules(
        int(configs.get("max.message.bytes", _DEFAULT.max_message_bytes)),
        configs.get("message.timestamp.type") == "LogAppendTime",
        int(configs.get("message.timestamp.before.max.ms", _DEFAULT.before_max_ms)),
        int(configs.get("message.timestamp.after.max.ms", _DEFAULT.after_max_ms)),
        "compact" in configs.get("cleanup.policy", "").split(","),
    )


def accept(
    data: bytes | None, rules: AppendRules, *, produce_version: int, now_ms: int
) -> Accepted | Refusal:
    """Return a batch as its topic wants it, or why the topic does not want it."""
    header = check(data, produce_version=produce_version, size_bytes_max=rules.max_message_bytes)
    if isinstance(header, Refusal):
        return header
    assert data is not None, "check refuses what is not there"
    refusal = _check_keys(data) if rules.needs_keys else None
    if refusal is not None:
        return refusal
    if rules.log_append_time:
        return Accepted(with_log_append_time(data, header, now_ms), header, now_ms, now_ms)
    refusal = _check_times(data, header, rules, now_ms)
    return refusal or Accepted(data, header, header.max_timestamp_ms, _NO_TIMESTAMP_MS)


def accept_plain(
    name: TopicPartition, data: bytes, rules: AppendRules, now_ms: int
) -> NewBatch | None:
    """Return a batch that `accept` would take as it is; None to have it looked at more closely."""
    if (
        rules.log_append_time
        or rules.needs_keys
        or rules.before_max_ms != _FOR_EVER_MS
        or len(data) > rules.max_message_bytes
    ):
        return None
    plain = read_plain(data)
    if plain is None:
        return None
    record_count, max_timestamp_ms, producer = plain
    if max_timestamp_ms > now_ms + rules.after_max_ms:
        return None
    return NewBatch(name, data, record_count, producer, max_timestamp_ms)


def _check_keys(data: bytes) -> Refusal | None:
    try:
        place = first_without_key(data)
    except InvalidRequest as error:
        return Refusal(ErrorCode.invalid_record, str(error))
    if place is None:
        return None
    text = f"record {place} of the batch has no key; a compacted topic takes none without"
    return Refusal(ErrorCode.invalid_record, text)


def _check_times(
    data: bytes, header: BatchHeader, rules: AppendRules, now_ms: int
) -> Refusal | None:
    if header.max_timestamp_ms > now_ms + rules.after_max_ms:
        text = (
            f"timestamp {header.max_timestamp_ms} lies more than message.timestamp.after.max.ms "
            f"after {now_ms}"
        )
        return Refusal(ErrorCode.invalid_timestamp, text)
    if rules.before_max_ms == _FOR_EVER_MS:
        return None
    try:
        oldest_ms = _oldest_time(data)
    except InvalidRequest as error:
        return Refusal(ErrorCode.invalid_record, str(error))
    if oldest_ms is not None and oldest_ms < now_ms - rules.before_max_ms:
        text = (
            f"timestamp {oldest_ms} lies more than message.timestamp.before.max.ms before {now_ms}"
        )
        return Refusal(ErrorCode.invalid_timestamp, text)
    return None


def _oldest_time(data: bytes) -> int | None:
    """Return the lowest timestamp of a batch, of records that have one."""
    times = (record.timestamp_ms for record in record_times(data))
    return min((time_ms for time_ms in times if time_ms != _NO_TIMESTAMP_MS), default=None)
