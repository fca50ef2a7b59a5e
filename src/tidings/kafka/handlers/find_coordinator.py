"""FindCoordinator: who coordinates a consumer group: the broker that is preferred for it.

v1: transactional ids may be asked for as well; there are no transactions. v4: many keys at once.
v6: share groups; there are none.
"""

from typing import Any

from kio.schema.errors import ErrorCode

from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import field
from tidings.kafka.known_brokers import group_thing, preferred_broker
from tidings.kafka.schema import Entity

_GROUP, _TRANSACTION = 0, 1

_MANY_KEYS_FROM = 4

_NOBODY: dict[str, Any] = {"node_id": -1, "host": "", "port": -1}


async def find_coordinator(broker: Broker, context: Context, request: Entity) -> dict[str, Any]:
    """Answer for one key, or for each of many."""
    key_type = field(request, "key_type", default=_GROUP)
    if context.api_version < _MANY_KEYS_FROM:
        return _coordinator(broker, context, key_type, request.key)
    return {
        "coordinators": [
            {"key": key, **_coordinator(broker, context, key_type, key)}
            for key in request.coordinator_keys
        ]
    }


def _coordinator(broker: Broker, context: Context, key_type: int, key: str) -> dict[str, Any]:
    if key_type == _GROUP:
        found = preferred_broker(broker.brokers, context.listener, group_thing(key))
        if found is None:
            return {
                "error_code": ErrorCode.coordinator_not_available,
                "error_message": "the coordinator has no listener of the name on which you ask",
                **_NOBODY,
            }
        return {
            "error_code": ErrorCode.none,
            "node_id": found.node_id,
            "host": found.host,
            "port": found.port,
        }
    if key_type == _TRANSACTION:
        # The one code after which every client gives up at once.
        return {
            "error_code": ErrorCode.transactional_id_authorization_failed,
            "error_message": "there are no transactions here; leave out the transactional id",
            **_NOBODY,
        }
    return {
        "error_code": ErrorCode.invalid_request,
        "error_message": f"there are no coordinators for keys of type {key_type}",
        **_NOBODY,
    }
