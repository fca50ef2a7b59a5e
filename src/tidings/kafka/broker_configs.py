"""The configs of the broker that clients may ask for: what it was told at its start, and facts.

Kafka has hundreds more. A client that asks for one of those learns that this broker has no such
config, which is true; a made-up value would not be.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tidings.kafka.config_type import ConfigType
from tidings.kafka.known_brokers import Listener
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.topic_configs import TOPIC_CONFIGS


class BrokerConfig(NamedTuple):
    """One config as DescribeConfigs tells it; none can be changed while the broker runs."""

    name: str
    value: str
    type: ConfigType
    meaning: str
    is_default: bool = True


def broker_configs(settings: BrokerSettings, listener: Listener) -> list[BrokerConfig]:
    """Return every config of the broker, by name; a client asks on `listener`."""
    return sorted([*_own(settings, listener), *_defaults_of_topics(settings)])


def _advertised(settings: BrokerSettings, listener: Listener) -> Iterator[str]:
    for each in settings.every_listener:
        host, port = each.advertised_host or each.host, each.advertised_port or each.port
        if each.name == listener.name:
            host, port, _ = listener
        yield f"{each.name or 'PLAINTEXT'}://{host}:{port}"


def _own(settings: BrokerSettings, listener: Listener) -> Iterator[BrokerConfig]:
    untold = BrokerSettings()
    yield BrokerConfig(
        "advertised.listeners",
        ",".join(_advertised(settings, listener)),
        ConfigType.LIST,
        "Where clients are told to connect.",
        is_default=False,
    )
    yield BrokerConfig(
        "auto.create.topics.enable",
        str(settings.auto_create_topics).lower(),
        ConfigType.BOOLEAN,
        "Whether a topic comes into being when a client asks for its metadata.",
        is_default=settings.auto_create_topics == untold.auto_create_topics,
    )
    yield _number("broker.id", settings)
    yield BrokerConfig(
        "default.replication.factor", "1", ConfigType.INT, "There is one copy of everything."
    )
    yield BrokerConfig(
        "delete.topic.enable", "true", ConfigType.BOOLEAN, "Topics can always be deleted."
    )
    yield BrokerConfig(
        "log.retention.check.interval.ms",
        str(settings.retention_check_interval_ms),
        ConfigType.LONG,
        "Between two looks at what is too old or too much.",
        is_default=settings.retention_check_interval_ms == untold.retention_check_interval_ms,
    )
    yield _number("node.id", settings)
    yield BrokerConfig(
        "num.partitions",
        str(settings.num_partitions),
        ConfigType.INT,
        "The partitions of a topic that is created without saying how many.",
        is_default=settings.num_partitions == untold.num_partitions,
    )
    yield BrokerConfig(
        "socket.request.max.bytes",
        str(settings.request_bytes_max),
        ConfigType.INT,
        "The largest request.",
        is_default=settings.request_bytes_max == untold.request_bytes_max,
    )


def _number(name: str, settings: BrokerSettings) -> BrokerConfig:
    number = str(settings.node_id)
    return BrokerConfig(name, number, ConfigType.INT, "The broker's number.", is_default=False)


def topic_defaults(settings: BrokerSettings) -> dict[str, str]:
    """Return what topics get that do not say, by the topic config's name, where it was chosen."""
    chosen = {
        "retention.bytes": str(settings.retention_bytes),
        "retention.ms": str(settings.retention_ms),
    }
    return {name: value for name, value in chosen.items() if value != TOPIC_CONFIGS[name].default}


def _defaults_of_topics(settings: BrokerSettings) -> Iterator[BrokerConfig]:
    chosen = topic_defaults(settings)
    for config in TOPIC_CONFIGS.values():
        if config.broker_name:
            yield BrokerConfig(
                config.broker_name,
                chosen.get(config.name, config.default),
                config.type,
                config.meaning,
                is_default=config.name not in chosen,
            )
