"""Kafka's error codes for what becomes of requests to the group coordinator."""

from kio.schema.errors import ErrorCode

from tidings.core.membership.messages import GroupError
from tidings.errors import Indeterminate, TidingsError, Unavailable
from tidings.kafka.errors import code_of


def code_of_refusal(refusal: GroupError) -> ErrorCode:
    """Return the code for what a group answers; NONE is one of them."""
    return ErrorCode[refusal.name.lower()]


def code_of_failure(error: TidingsError) -> ErrorCode:
    """Return the code for a change that was not, or may not be, made.

    Clients look for the coordinator and try again: what they ask of it can be repeated.
    """
    if isinstance(error, Unavailable | Indeterminate):
        return ErrorCode.coordinator_not_available
    return code_of(error)
