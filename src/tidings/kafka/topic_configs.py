"""Every topic config that Kafka 4 knows, and what becomes of it here.

A config is obeyed; or it is accepted, because nothing that it promises becomes untrue; or only its
default is taken, because any other value would promise something untrue. Lower bounds are easy to
keep ("a tombstone stays at least so long"), so they are accepted where upper bounds are refused.
Names, types, defaults and limits are those that Apache Kafka 4.2 tells in DescribeConfigs.
"""

from collections.abc import Mapping

from tidings.kafka.config_type import ConfigType, InvalidConfig, TopicConfig, Treatment

_ROWS = (
    TopicConfig(
        name="cleanup.policy",
        type=ConfigType.LIST,
        default="delete",
        treatment=Treatment.OBEYED,
        broker_name="log.cleanup.policy",
        meaning=(
            "'delete' lets retention remove old records. Without it nothing is ever removed: a"
            " topic that is to be compacted keeps every record, the latest of each key among them,"
            " and takes none without a key."
        ),
        choices=("compact", "delete"),
    ),
    TopicConfig(
        name="compression.gzip.level",
        type=ConfigType.INT,
        default="-1",
        treatment=Treatment.ACCEPTED,
        broker_name="compression.gzip.level",
        meaning="Batches are kept as their producer compressed them.",
        minimum=-1,
        maximum=9,
    ),
    TopicConfig(
        name="compression.lz4.level",
        type=ConfigType.INT,
        default="9",
        treatment=Treatment.ACCEPTED,
        broker_name="compression.lz4.level",
        meaning="Batches are kept as their producer compressed them.",
        minimum=1,
        maximum=17,
    ),
    TopicConfig(
        name="compression.type",
        type=ConfigType.STRING,
        default="producer",
        treatment=Treatment.DEFAULT_ONLY,
        broker_name="compression.type",
        meaning="batches are kept as their producer compressed them, never compressed anew",
        choices=("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
    ),
    TopicConfig(
        name="compression.zstd.level",
        type=ConfigType.INT,
        default="3",
        treatment=Treatment.ACCEPTED,
        broker_name="compression.zstd.level",
        meaning="Batches are kept as their producer compressed them.",
        minimum=-131072,
        maximum=22,
    ),
    TopicConfig(
        name="delete.retention.ms",
        type=ConfigType.LONG,
        default="86400000",
        treatment=Treatment.ACCEPTED,
        broker_name="log.cleaner.delete.retention.ms",
        meaning="Tombstones are kept at least so long: they are records like any other.",
        minimum=0,
    ),
    TopicConfig(
        name="file.delete.delay.ms",
        type=ConfigType.LONG,
        default="60000",
        treatment=Treatment.ACCEPTED,
        broker_name="log.segment.delete.delay.ms",
        meaning="There are no segment files of a partition whose removal could wait.",
        minimum=0,
    ),
    TopicConfig(
        name="flush.messages",
        type=ConfigType.LONG,
        default="9223372036854775807",
        treatment=Treatment.ACCEPTED,
        broker_name="log.flush.interval.messages",
        meaning="Every record is on disk before it is acknowledged.",
        minimum=1,
    ),
    TopicConfig(
        name="flush.ms",
        type=ConfigType.LONG,
        default="9223372036854775807",
        treatment=Treatment.ACCEPTED,
        broker_name="log.flush.interval.ms",
        meaning="Every record is on disk before it is acknowledged.",
        minimum=0,
    ),
    TopicConfig(
        name="follower.replication.throttled.replicas",
        type=ConfigType.LIST,
        default="",
        treatment=Treatment.ACCEPTED,
        broker_name=None,
        meaning="There are no replicas to throttle.",
    ),
    TopicConfig(
        name="index.interval.bytes",
        type=ConfigType.INT,
        default="4096",
        treatment=Treatment.ACCEPTED,
        broker_name="log.index.interval.bytes",
        meaning="The index does not grow by bytes.",
        minimum=0,
    ),
    TopicConfig(
        name="leader.replication.throttled.replicas",
        type=ConfigType.LIST,
        default="",
        treatment=Treatment.ACCEPTED,
        broker_name=None,
        meaning="There are no replicas to throttle.",
    ),
    TopicConfig(
        name="local.retention.bytes",
        type=ConfigType.LONG,
        default="-2",
        treatment=Treatment.ACCEPTED,
        broker_name="log.local.retention.bytes",
        meaning="Speaks of tiered topics, and there are none.",
        minimum=-2,
    ),
    TopicConfig(
        name="local.retention.ms",
        type=ConfigType.LONG,
        default="-2",
        treatment=Treatment.ACCEPTED,
        broker_name="log.local.retention.ms",
        meaning="Speaks of tiered topics, and there are none.",
        minimum=-2,
    ),
    TopicConfig(
        name="max.compaction.lag.ms",
        type=ConfigType.LONG,
        default="9223372036854775807",
        treatment=Treatment.DEFAULT_ONLY,
        broker_name="log.cleaner.max.compaction.lag.ms",
        meaning="topics are not compacted, so no superseded record goes away in bounded time",
        minimum=1,
    ),
    TopicConfig(
        name="max.message.bytes",
        type=ConfigType.INT,
        default="1048588",
        treatment=Treatment.OBEYED,
        broker_name="message.max.bytes",
        meaning="The largest record batch that a producer may send, as it is on the wire.",
        minimum=0,
    ),
    TopicConfig(
        name="message.timestamp.after.max.ms",
        type=ConfigType.LONG,
        default="3600000",
        treatment=Treatment.OBEYED,
        broker_name="log.message.timestamp.after.max.ms",
        meaning="How far a record's timestamp may lie in the future, in milliseconds.",
        minimum=0,
    ),
    TopicConfig(
        name="message.timestamp.before.max.ms",
        type=ConfigType.LONG,
        default="9223372036854775807",
        treatment=Treatment.OBEYED,
        broker_name="log.message.timestamp.before.max.ms",
        meaning="How far a record's timestamp may lie in the past, in milliseconds.",
        minimum=0,
    ),
    TopicConfig(
        name="message.timestamp.type",
        type=ConfigType.STRING,
        default="CreateTime",
        treatment=Treatment.OBEYED,
        broker_name="log.message.timestamp.type",
        meaning="Whether records keep their producer's timestamp or get the broker's.",
        choices=("CreateTime", "LogAppendTime"),
    ),
    TopicConfig(
        name="min.cleanable.dirty.ratio",
        type=ConfigType.DOUBLE,
        default="0.5",
        treatment=Treatment.ACCEPTED,
        broker_name="log.cleaner.min.cleanable.ratio",
        meaning="Topics are not compacted, so none is compacted too early.",
        minimum=0,
        maximum=1,
    ),
    TopicConfig(
        name="min.compaction.lag.ms",
        type=ConfigType.LONG,
        default="0",
        treatment=Treatment.ACCEPTED,
        broker_name="log.cleaner.min.compaction.lag.ms",
        meaning="Topics are not compacted, so none is compacted too early.",
        minimum=0,
    ),
    TopicConfig(
        name="min.insync.replicas",
        type=ConfigType.INT,
        default="1",
        treatment=Treatment.DEFAULT_ONLY,
        broker_name="min.insync.replicas",
        meaning="there is one copy, on one disk",
        minimum=1,
    ),
    TopicConfig(
        name="preallocate",
        type=ConfigType.BOOLEAN,
        default="false",
        treatment=Treatment.ACCEPTED,
        broker_name="log.preallocate",
        meaning="There are no segment files of a partition to allocate.",
    ),
    TopicConfig(
        name="remote.log.copy.disable",
        type=ConfigType.BOOLEAN,
        default="false",
        treatment=Treatment.ACCEPTED,
        broker_name=None,
        meaning="Speaks of tiered topics, and there are none.",
    ),
    TopicConfig(
        name="remote.log.delete.on.disable",
        type=ConfigType.BOOLEAN,
        default="false",
        treatment=Treatment.ACCEPTED,
        broker_name=None,
        meaning="Speaks of tiered topics, and there are none.",
    ),
    TopicConfig(
        name="remote.storage.enable",
        type=ConfigType.BOOLEAN,
        default="false",
        treatment=Treatment.DEFAULT_ONLY,
        broker_name=None,
        meaning="there is no tiered storage",
    ),
    TopicConfig(
        name="retention.bytes",
        type=ConfigType.LONG,
        default="-1",
        treatment=Treatment.OBEYED,
        broker_name="log.retention.bytes",
        meaning="How many bytes of a partition are kept; -1 for all.",
        minimum=-1,
    ),
    TopicConfig(
        name="retention.ms",
        type=ConfigType.LONG,
        default="604800000",
        treatment=Treatment.OBEYED,
        broker_name="log.retention.ms",
        meaning="How long records are kept, in milliseconds; -1 for ever.",
        minimum=-1,
    ),
    TopicConfig(
        name="segment.bytes",
        type=ConfigType.INT,
        default="1073741824",
        treatment=Treatment.ACCEPTED,
        broker_name="log.segment.bytes",
        meaning="Partitions share their storage; retention goes record batch by record batch.",
        minimum=1048576,
    ),
    TopicConfig(
        name="segment.index.bytes",
        type=ConfigType.INT,
        default="10485760",
        treatment=Treatment.ACCEPTED,
        broker_name="log.index.size.max.bytes",
        meaning="Partitions share their storage; retention goes record batch by record batch.",
        minimum=4,
    ),
    TopicConfig(
        name="segment.jitter.ms",
        type=ConfigType.LONG,
        default="0",
        treatment=Treatment.ACCEPTED,
        broker_name="log.roll.jitter.ms",
        meaning="Partitions share their storage; retention goes record batch by record batch.",
        minimum=0,
    ),
    TopicConfig(
        name="segment.ms",
        type=ConfigType.LONG,
        default="604800000",
        treatment=Treatment.ACCEPTED,
        broker_name="log.roll.ms",
        meaning="Partitions share their storage; retention goes record batch by record batch.",
        minimum=1,
    ),
    TopicConfig(
        name="unclean.leader.election.enable",
        type=ConfigType.BOOLEAN,
        default="false",
        treatment=Treatment.ACCEPTED,
        broker_name="unclean.leader.election.enable",
        meaning="There are no replicas that could lag behind a leader.",
    ),
)

TOPIC_CONFIGS: dict[str, TopicConfig] = {config.name: config for config in _ROWS}
"""Every topic config, by name."""


def parse_configs(configs: Mapping[str, str | None]) -> dict[str, str]:
    """Return the configs of a topic in the form that is stored; unknown names come first in errors.

    Raises:
        InvalidConfig: A name is unknown, or a value is missing, malformed or refused here.
    """
    for name in configs:
        if name not in TOPIC_CONFIGS:
            raise InvalidConfig(f"{name} is not a topic config of Kafka 4; remove it")
    return {name: _parse_given(name, value) for name, value in configs.items()}


def _parse_given(name: str, value: str | None) -> str:
    if value is None:
        raise InvalidConfig(f"{name} has no value; give one, or leave the config out")
    return TOPIC_CONFIGS[name].parse(value)
