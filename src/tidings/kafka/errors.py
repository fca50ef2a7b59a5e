"""From Tidings' errors to Kafka's error codes: the one place.

A handler that knows better says so itself: a group that is fenced has another code than a producer.
"""

from kio.schema.errors import ErrorCode

from tidings.errors import (
    Corrupt,
    Fenced,
    Indeterminate,
    InvalidRequest,
    OffsetOutOfRange,
    OutOfOrderSequence,
    TidingsError,
    Unavailable,
    UnknownTopicOrPartition,
)

CODE_OF_ERROR: dict[type[TidingsError], ErrorCode] = {
    # Not to be repeated.
    InvalidRequest: ErrorCode.invalid_request,
    # Clients refresh their metadata and try again.
    UnknownTopicOrPartition: ErrorCode.unknown_topic_or_partition,
    # Consumers go where their reset policy says.
    OffsetOutOfRange: ErrorCode.offset_out_of_range,
    # Only producers are fenced by the fold of the journal.
    Fenced: ErrorCode.invalid_producer_epoch,
    OutOfOrderSequence: ErrorCode.out_of_order_sequence_number,
    # Definitely not done: clients try again.
    Unavailable: ErrorCode.kafka_storage_error,
    # May be done: clients try again where that is safe.
    Indeterminate: ErrorCode.request_timed_out,
    # What is stored fails its check.
    Corrupt: ErrorCode.corrupt_message,
}


def code_of(error: TidingsError) -> ErrorCode:
    """Return Kafka's code for an error."""
    return CODE_OF_ERROR[type(error)]
