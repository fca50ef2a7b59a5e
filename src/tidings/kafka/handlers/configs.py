"""DescribeConfigs, IncrementalAlterConfigs and AlterConfigs, for topics and this broker.

DescribeConfigs v3 tells types and, if asked, documentation. The broker's own configs are set at its
start and can only be read.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from kio.schema.errors import ErrorCode

from tidings.core.topics import Topic
from tidings.errors import UnknownTopicOrPartition
from tidings.kafka.broker import Broker, Context
from tidings.kafka.broker_configs import BrokerConfig, broker_configs, topic_defaults
from tidings.kafka.codec import field
from tidings.kafka.config_type import ConfigType, InvalidConfig, TopicConfig, split_list
from tidings.kafka.refusal import REFUSALS, Refused, error_fields, repeated
from tidings.kafka.schema import Entity
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.topic_configs import TOPIC_CONFIGS, parse_configs
from tidings.kafka.topic_names import name_refusal

Values = dict[str, Any]


class _Resource(IntEnum):
    """What has configs, by Kafka's numbers."""

    TOPIC = 2
    BROKER = 4


class _Source(IntEnum):
    """Where a value comes from, by Kafka's numbers."""

    TOPIC = 1
    BROKER_START = 4
    DEFAULT = 5


class _Operation(IntEnum):
    """What to do with a config, by Kafka's numbers."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


# Describing -------------------------------------------------------------------------------------


async def describe_configs(broker: Broker, context: Context, request: Entity) -> Values:
    """Tell the configs of topics and of this broker."""
    await broker.log.barrier()
    return {
        "results": [_describe(broker, context, request, wanted) for wanted in request.resources]
    }


def _describe(broker: Broker, context: Context, request: Entity, wanted: Entity) -> Values:
    resource = {"resource_type": wanted.resource_type, "resource_name": wanted.resource_name}
    try:
        configs = _configs_of(broker, context, wanted)
    except REFUSALS as refusal:
        return {**resource, **error_fields(refusal)}
    if wanted.configuration_keys:
        configs = [config for config in configs if config["name"] in wanted.configuration_keys]
    for config in configs:
        if not request.include_synonyms:
            del config["synonyms"]
        if not field(request, "include_documentation", default=False):
            config["documentation"] = None
    return {**resource, "error_code": ErrorCode.none, "error_message": None, "configs": configs}


def _configs_of(broker: Broker, context: Context, wanted: Entity) -> list[Values]:
    name = wanted.resource_name
    match wanted.resource_type:
        case _Resource.TOPIC:
            return describe_topic_configs(_topic(broker, name).configs, broker.settings)
        case _Resource.BROKER if not name:
            # The defaults of a whole cluster that were changed while it ran: there are none.
            return []
        case _Resource.BROKER:
            _check_broker(broker, name)
            return list(map(_broker_config, broker_configs(broker.settings, context.listener)))
        case other:
            raise _unknown_resource(other)


def _topic(broker: Broker, name: str) -> Topic:
    if reason := name_refusal(name):
        raise Refused(ErrorCode.invalid_topic_exception, reason)
    topic: Topic | None = broker.log.state.topics.get(name)
    if topic is None:
        raise UnknownTopicOrPartition(f"there is no topic {name}")
    return topic


def _check_broker(broker: Broker, name: str) -> None:
    if name != str(broker.settings.node_id):
        raise Refused(
            ErrorCode.invalid_request,
            f"this is broker {broker.settings.node_id}; it cannot speak for {name!r}",
        )


def _unknown_resource(resource_type: int) -> Refused:
    return Refused(
        ErrorCode.invalid_request,
        f"configs are kept for topics (2) and this broker (4), not for resources of type "
        f"{resource_type}",
    )


def describe_topic_configs(configs: Mapping[str, str], settings: BrokerSettings) -> list[Values]:
    """Return all configs of a topic that was given `configs`, as DescribeConfigs tells them."""
    chosen = topic_defaults(settings)
    return [
        _topic_config(config, configs.get(config.name), chosen.get(config.name))
        for config in TOPIC_CONFIGS.values()
    ]


def _topic_config(config: TopicConfig, given: str | None, chosen: str | None) -> Values:
    # Whoever comes first is obeyed.
    values = [
        (config.name, given, _Source.TOPIC),
        (config.broker_name, chosen, _Source.BROKER_START),
        (config.broker_name, config.default, _Source.DEFAULT),
    ]
    synonyms = [
        {"name": name, "value": value, "source": source}
        for name, value, source in values
        if name is not None and value is not None
    ]
    value, source = next((value, source) for _, value, source in values if value is not None)
    return {
        "name": config.name,
        "value": value,
        "read_only": False,
        "config_source": source,
        "is_sensitive": False,
        "synonyms": synonyms,
        "config_type": config.type,
        "documentation": f"{config.meaning} ({config.treatment.value})",
    }


def _broker_config(config: BrokerConfig) -> Values:
    source = _Source.DEFAULT if config.is_default else _Source.BROKER_START
    return {
        "name": config.name,
        "value": config.value,
        "read_only": True,
        "config_source": source,
        "is_default": config.is_default,
        "is_sensitive": False,
        "synonyms": [{"name": config.name, "value": config.value, "source": source}],
        "config_type": config.type,
        "documentation": config.meaning,
    }


# Altering ---------------------------------------------------------------------------------------

_Plan = Callable[[Mapping[str, str], Sequence[Entity]], dict[str, str | None]]
"""From a topic's configs and what a client asks for to the changes; None removes a config."""


async def incremental_alter_configs(broker: Broker, context: Context, request: Entity) -> Values:
    """Change some configs of topics and leave the others as they are."""
    del context
    return await _alter_all(broker, request, _plan_increments)


async def alter_configs(broker: Broker, context: Context, request: Entity) -> Values:
    """Give topics these configs and no others."""
    del context
    return await _alter_all(broker, request, _plan_replacement)


async def _alter_all(broker: Broker, request: Entity, plan: _Plan) -> Values:
    await broker.log.barrier()
    twice = repeated((wanted.resource_type, wanted.resource_name) for wanted in request.resources)

    async def alter(wanted: Entity) -> None:
        if (wanted.resource_type, wanted.resource_name) in twice:
            raise Refused(
                ErrorCode.invalid_request, f"{wanted.resource_name!r} is named more than once"
            )
        changes = plan(_alterable_configs(broker, wanted), wanted.configs)
        if changes and not request.validate_only:
            await broker.log.alter_topic(wanted.resource_name, changes)

    return {"responses": [await _outcome(wanted, alter(wanted)) for wanted in request.resources]}


async def _outcome(wanted: Entity, alteration: Awaitable[None]) -> Values:
    resource = {"resource_type": wanted.resource_type, "resource_name": wanted.resource_name}
    try:
        await alteration
    except REFUSALS as refusal:
        return {**resource, **error_fields(refusal)}
    return {**resource, "error_code": ErrorCode.none, "error_message": None}


def _alterable_configs(broker: Broker, wanted: Entity) -> Mapping[str, str]:
    if repeated(config.name for config in wanted.configs):
        raise Refused(ErrorCode.invalid_request, "a config is named more than once; name it once")
    name = wanted.resource_name
    match wanted.resource_type:
        case _Resource.TOPIC if not name:
            raise Refused(ErrorCode.invalid_request, "name the topic; defaults cannot be changed")
        case _Resource.TOPIC:
            return _topic(broker, name).configs
        case _Resource.BROKER:
            raise Refused(
                ErrorCode.invalid_request,
                "the broker's configs are set at its start: start it again with other options",
            )
        case other:
            raise _unknown_resource(other)


def _plan_replacement(
    present: Mapping[str, str], wanted: Sequence[Entity]
) -> dict[str, str | None]:
    for config in wanted:
        _check_value(config)
    parsed = parse_configs({config.name: config.value for config in wanted})
    removed: dict[str, str | None] = dict.fromkeys(present)
    return _without_what_is_so(present, {**removed, **parsed})


def _plan_increments(present: Mapping[str, str], wanted: Sequence[Entity]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {}
    for config in wanted:
        changes[config.name] = _increment(present, config)
    return _without_what_is_so(present, changes)


def _increment(present: Mapping[str, str], config: Entity) -> str | None:
    """Return the new value of one config; None if it is removed."""
    if config.config_operation == _Operation.DELETE:
        return None
    _check_value(config)
    match config.config_operation:
        case _Operation.SET:
            value = config.value
        case _Operation.APPEND:
            items = _items(present, config)
            value = ",".join([*items, *split_list(config.value)])
        case _Operation.SUBTRACT:
            unwanted = split_list(config.value)
            value = ",".join(item for item in _items(present, config) if item not in unwanted)
        case other:
            raise Refused(
                ErrorCode.invalid_request,
                f"operation {other} on {config.name}: 0 sets, 1 deletes, 2 appends, 3 subtracts",
            )
    return parse_configs({config.name: value})[config.name]


def _items(present: Mapping[str, str], config: Entity) -> list[str]:
    known = TOPIC_CONFIGS.get(config.name)
    if known is None or known.type is not ConfigType.LIST:
        raise InvalidConfig(f"{config.name} is not a list, so nothing can be added or taken away")
    return split_list(present.get(config.name, known.default))


def _check_value(config: Entity) -> None:
    if config.value is None:
        raise Refused(ErrorCode.invalid_request, f"{config.name} needs a value")


def _without_what_is_so(
    present: Mapping[str, str], changes: Mapping[str, str | None]
) -> dict[str, str | None]:
    return {name: value for name, value in changes.items() if present.get(name) != value}
