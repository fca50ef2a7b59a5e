"""DescribeLogDirs: how many bytes partitions hold. There is one place for all of them."""

from collections.abc import Iterator
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.kafka.broker import Broker, Context
from tidings.kafka.schema import Entity
from tidings.types import TopicPartition

LOG_DIR = "tidings"
"""What clients are told instead of a path, which is the business of the host alone."""

_UNKNOWN = -1

Values = dict[str, Any]


async def describe_log_dirs(broker: Broker, context: Context, request: Entity) -> Values:
    """Tell the size of partitions, all or those that are named; unknown ones are left out."""
    del context
    await broker.log.barrier()
    return {
        "error_code": ErrorCode.none,
        "results": [
            {
                "error_code": ErrorCode.none,
                "log_dir": LOG_DIR,
                "topics": list(_topics(broker, request)),
                "total_bytes": _UNKNOWN,
                "usable_bytes": _UNKNOWN,
            }
        ],
    }


def _topics(broker: Broker, request: Entity) -> Iterator[Values]:
    known = broker.log.state.topics
    if request.topics is None:
        for name in sorted(known):
            yield _topic(broker, name, range(known[name].partition_count))
        return
    for wanted in request.topics:
        topic = known.get(wanted.topic)
        count = topic.partition_count if topic else 0
        partitions = [index for index in wanted.partitions if 0 <= index < count]
        if partitions:
            yield _topic(broker, wanted.topic, partitions)


def _topic(broker: Broker, name: str, partitions: range | list[int]) -> Values:
    return {"name": name, "partitions": [_partition(broker, name, index) for index in partitions]}


def _partition(broker: Broker, topic: str, index: int) -> Values:
    partition = broker.log.state.partitions.get(TopicPartition(topic, index))
    return {
        "partition_index": index,
        "partition_size": partition.size_bytes if partition else 0,
        # How far a replica lags behind; there are none.
        "offset_lag": 0,
        "is_future_key": False,
    }
