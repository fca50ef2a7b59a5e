"""Record batches as clients send them."""

from random import Random

from tidings.clock import SystemClock
from tidings.kafka.record_batch import Compression
from tidings.kafka.records import RecordFields, encode_batch


def batch_of(value_bytes: int) -> bytes:
    """Return a batch of one record, whose value has so many bytes that nobody can compress."""
    value = Random(value_bytes).randbytes(value_bytes)
    record = RecordFields(SystemClock().now_ms(), None, value, ())
    return encode_batch([record], Compression.NONE)
