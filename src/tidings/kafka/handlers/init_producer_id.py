"""InitProducerId: gives an idempotent producer its identity (KIP-98)."""

from typing import Any

from kio.schema.errors import ErrorCode

from tidings.errors import TidingsError
from tidings.kafka.broker import Broker, Context
from tidings.kafka.schema import Entity

_NO_PRODUCER_ID = -1
_NO_EPOCH = -1
_FIRST_EPOCH = 0


async def init_producer_id(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Return a producer id that nobody else has.

    A transactional id is refused with an error after which no client tries again: there are no
    transactions. A producer that gives its old id, after an error, gets a new one.
    """
    del context
    if request.transactional_id == "":
        return _refused(ErrorCode.invalid_request)
    if request.transactional_id is not None:
        return _refused(ErrorCode.transactional_id_authorization_failed)
    try:
        producer_id = await broker.log.allocate_producer_id()
    except TidingsError:
        # One id too many does no harm, so also after an unknown outcome the client may try again;
        # and with this code every client does.
        return _refused(ErrorCode.coordinator_load_in_progress)
    return {
        "error_code": ErrorCode.none,
        "producer_id": producer_id,
        "producer_epoch": _FIRST_EPOCH,
    }


def _refused(error_code: ErrorCode) -> dict[str, Any]:
    return {
        "error_code": error_code,
        "producer_id": _NO_PRODUCER_ID,
        "producer_epoch": _NO_EPOCH,
    }
