"""THE table: which APIs and versions the broker serves, and by which function.

The answer to ApiVersions, the dispatch of requests and docs/kafka-support.md all come from it. To
add an API: write a handler, and give it a row here.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidings.kafka.at_work import AtWork
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import API_VERSIONS_KEY, PRODUCE_KEY, Buffers, Encoded
from tidings.kafka.handlers import (
    api_versions,
    cluster,
    configs,
    delete_records,
    fetch,
    find_coordinator,
    group_admin,
    groups,
    init_producer_id,
    list_offsets,
    log_dirs,
    metadata,
    offset_for_leader_epoch,
    offsets,
    produce,
    topics,
)
from tidings.kafka.schema import Entity

Answer = Mapping[str, Any] | Encoded | None
"""The body of a response: values by kio's names, as for the newest version, or ready buffers.

None: the client expects no response at all.
"""

Handler = Callable[[Broker, Context, Entity], Awaitable[Answer]]
"""Takes a request, as an object of kio's class of its version."""


Respond = Callable[[Answer], Buffers]
"""Makes a whole response of a body, size and header included."""

Begin = Callable[[Broker, Context, Entity, Respond], AtWork[Buffers]]
"""Takes a request like a handler; what is at work then gives the whole response."""


@dataclass(frozen=True, slots=True)
class Api:
    """One row."""

    key: int
    """Kafka's number of the API."""

    module: str
    """kio's name of the API."""

    lowest: int
    """The lowest version that is served."""

    highest: int
    """The highest version that is served."""

    handler: Handler

    begin: Begin | None = None
    """Does the same as the handler, without a task."""

    advertised_from: int | None = None
    """A version below `lowest` from which on clients are told that it is served.

    For clients that take a higher lowest version for an ancient broker. A request of a version that
    is only advertised is refused like one of any other version.
    """

    is_pipelined: bool = False
    """Whether a request begins while earlier ones of this API, on its connection, are at work.

    Its handler must not await anything before it has put what it does in order.
    """

    carries_records: bool = False
    """Whether a request is as large as its records, and not just some names and numbers."""

    def serves(self, version: int) -> bool:
        """Whether a request of this version is answered."""
        return self.lowest <= version <= self.highest


async def _api_versions(broker: Broker, context: Context, request: Entity) -> Answer:
    del broker, context, request
    return api_versions.body((api.key, advertised(api), api.highest) for api in APIS)


def advertised(api: Api) -> int:
    """Return the lowest version of an API that clients are told of."""
    return api.lowest if api.advertised_from is None else api.advertised_from


APIS = (
    # librdkafka compresses nothing for a broker that does not know the versions that are gone.
    Api(
        PRODUCE_KEY,
        "produce",
        3,
        13,
        produce.produce,
        advertised_from=0,
        begin=produce.begin,
        is_pipelined=True,
        carries_records=True,
    ),
    Api(1, "fetch", 4, 18, fetch.fetch),
    Api(2, "list_offsets", 1, 11, list_offsets.list_offsets),
    Api(3, "metadata", 0, 13, metadata.metadata),
    Api(8, "offset_commit", 2, 10, offsets.offset_commit),
    Api(9, "offset_fetch", 1, 10, offsets.offset_fetch),
    Api(10, "find_coordinator", 0, 6, find_coordinator.find_coordinator),
    Api(11, "join_group", 0, 9, groups.join_group),
    Api(12, "heartbeat", 0, 4, groups.heartbeat),
    Api(13, "leave_group", 0, 5, groups.leave_group),
    Api(14, "sync_group", 0, 5, groups.sync_group),
    Api(15, "describe_groups", 0, 6, group_admin.describe_groups),
    Api(16, "list_groups", 0, 5, group_admin.list_groups),
    Api(API_VERSIONS_KEY, "api_versions", 0, 4, _api_versions),
    Api(19, "create_topics", 2, 7, topics.create_topics),
    Api(20, "delete_topics", 1, 6, topics.delete_topics),
    Api(21, "delete_records", 0, 2, delete_records.delete_records),
    Api(22, "init_producer_id", 0, 6, init_producer_id.init_producer_id),
    Api(23, "offset_for_leader_epoch", 2, 4, offset_for_leader_epoch.offset_for_leader_epoch),
    Api(32, "describe_configs", 1, 4, configs.describe_configs),
    Api(33, "alter_configs", 0, 2, configs.alter_configs),
    Api(35, "describe_log_dirs", 1, 4, log_dirs.describe_log_dirs),
    Api(37, "create_partitions", 0, 3, topics.create_partitions),
    Api(42, "delete_groups", 0, 2, group_admin.delete_groups),
    Api(44, "incremental_alter_configs", 0, 1, configs.incremental_alter_configs),
    Api(47, "offset_delete", 0, 0, offsets.offset_delete),
    Api(60, "describe_cluster", 0, 2, cluster.describe_cluster),
    Api(75, "describe_topic_partitions", 0, 0, cluster.describe_topic_partitions),
)

API_OF_KEY = {api.key: api for api in APIS}
