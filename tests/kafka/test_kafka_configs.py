"""Reading and changing configs, on a real log. Codes are those of Apache Kafka 4.2."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from broker_in_memory import call
from kio.schema.errors import ErrorCode
from lone_broker import lone_broker

from tidings.kafka.broker import Broker
from tidings.kafka.settings import ListenerSettings
from tidings.kafka.topic_configs import TOPIC_CONFIGS
from tidings.testing.loop import run

TOPIC, BROKER, LOGGER = 2, 4, 8
SET, DELETE, APPEND, SUBTRACT = range(4)

Values = dict[str, Any]


def with_topic(
    scenario: Callable[[Broker], Awaitable[None]], configs: dict[str, str] | None = None, **s: Any
) -> None:
    """Run a scenario on a broker that has the topic `t`."""

    async def main() -> None:
        async with lone_broker(**s) as broker:
            await broker.log.create_topic("t", 1, configs=configs or {})
            await scenario(broker)

    run(main())


async def describe(
    broker: Broker, kind: int, name: str, *keys: str, version: int = 4, **values: Any
) -> Any:
    resource = {"resource_type": kind, "resource_name": name, "configuration_keys": keys or None}
    answer = await call(broker, "describe_configs", version, resources=[resource], **values)
    (result,) = answer.results
    assert (result.resource_type, result.resource_name) == (kind, name)
    return result


@pytest.mark.parametrize("version", range(1, 5))
def test_describe_topic_in_every_version_tells_every_config(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, TOPIC, "t", version=version, include_synonyms=True)
        assert result.error_code == ErrorCode.none
        configs = {config.name: config for config in result.configs}
        assert list(configs) == list(TOPIC_CONFIGS)
        given, default = configs["retention.ms"], configs["max.message.bytes"]
        assert (given.value, given.config_source, given.read_only) == ("5", 1, False)
        assert (default.value, default.config_source) == ("1048588", 5)
        assert [(s.name, s.value, s.source) for s in given.synonyms] == [
            ("retention.ms", "5", 1),
            ("log.retention.ms", "604800000", 5),
        ]
        if version >= 3:
            assert (given.config_type, given.documentation) == (5, None)

    with_topic(scenario, {"retention.ms": "5"})


def test_describe_topic_tells_synonyms_and_documentation_only_if_asked() -> None:
    async def scenario(broker: Broker) -> None:
        plain = await describe(broker, TOPIC, "t", "flush.ms")
        assert [(c.synonyms, c.documentation) for c in plain.configs] == [((), None)]
        told = await describe(broker, TOPIC, "t", "flush.ms", include_documentation=True)
        assert "on disk before it is acknowledged" in told.configs[0].documentation
        assert "changes nothing" in told.configs[0].documentation

    with_topic(scenario)


def test_describe_topic_with_keys_tells_those_that_exist() -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, TOPIC, "t", "retention.ms", "nope", "cleanup.policy")
        assert [config.name for config in result.configs] == ["cleanup.policy", "retention.ms"]

    with_topic(scenario)


def test_describe_broker_tells_what_it_was_told_at_its_start() -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, BROKER, "1")
        configs = {config.name: config for config in result.configs}
        assert configs["num.partitions"].value == "7"
        assert configs["num.partitions"].config_source == 4
        assert configs["auto.create.topics.enable"].value == "true"
        assert configs["auto.create.topics.enable"].config_source == 5
        assert configs["advertised.listeners"].value == "PLAINTEXT://broker.test:9092"
        assert configs["log.retention.ms"].value == "604800000"
        assert all(config.read_only for config in result.configs)
        names = [config.name for config in result.configs]
        assert names == sorted(dict.fromkeys(names))

    with_topic(scenario, num_partitions=7)


def test_describe_broker_tells_the_addresses_of_all_listeners() -> None:
    async def scenario(broker: Broker) -> None:
        configs = {each.name: each for each in (await describe(broker, BROKER, "1")).configs}
        told = configs["advertised.listeners"].value
        assert told == "PLAINTEXT://broker.test:9092,a://one:1,b://two:3"

    listeners = (ListenerSettings("a", "one", 1), ListenerSettings("b", "any", 2, "two", 3))
    with_topic(scenario, listeners=listeners)


def test_describe_tells_the_retention_that_the_broker_was_told() -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, BROKER, "1", "log.retention.ms", "log.retention.bytes")
        own = {config.name: (config.value, config.config_source) for config in result.configs}
        assert own == {"log.retention.bytes": ("-1", 5), "log.retention.ms": ("-1", 4)}
        result = await describe(broker, TOPIC, "t", "retention.ms", include_synonyms=True)
        (age,) = result.configs
        assert (age.value, age.config_source) == ("-1", 4)
        assert [(one.value, one.source) for one in age.synonyms] == [("-1", 4), ("604800000", 5)]

    with_topic(scenario, retention_ms=-1)


def test_describe_broker_in_version_0_of_default_flags_tells_both() -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, BROKER, "", version=4)
        assert (result.error_code, result.configs) == (ErrorCode.none, ())

    with_topic(scenario)


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "nope", ErrorCode.unknown_topic_or_partition),
        (TOPIC, "", ErrorCode.invalid_topic_exception),
        (TOPIC, "a b", ErrorCode.invalid_topic_exception),
        (BROKER, "2", ErrorCode.invalid_request),
        (BROKER, "x", ErrorCode.invalid_request),
        (LOGGER, "1", ErrorCode.invalid_request),
        (0, "x", ErrorCode.invalid_request),
    ],
)
def test_describe_what_is_not_there_has_the_code_of_kafka(
    kind: int, name: str, code: ErrorCode
) -> None:
    async def scenario(broker: Broker) -> None:
        result = await describe(broker, kind, name)
        assert (result.error_code, result.configs) == (code, ())
        assert result.error_message

    with_topic(scenario)


def change(name: str, operation: int, value: str | None) -> Values:
    return {"name": name, "config_operation": operation, "value": value}


def resource(*changes: Values, kind: int = TOPIC, name: str = "t") -> Values:
    return {"resource_type": kind, "resource_name": name, "configs": changes}


async def alter(
    broker: Broker, *resources: Values, api: str = "incremental_alter_configs", **values: Any
) -> list[ErrorCode]:
    version = values.pop("version", 1)
    answer = await call(broker, api, version, resources=resources, **values)
    for told, asked in zip(answer.responses, resources, strict=True):
        assert told.resource_name == asked["resource_name"]
        assert (told.error_message is None) == (told.error_code == ErrorCode.none)
    return [told.error_code for told in answer.responses]


def configs_of(broker: Broker) -> dict[str, str]:
    return dict(broker.log.state.topics["t"].configs)


@pytest.mark.parametrize("version", [0, 1])
def test_alter_incrementally_in_every_version_changes_only_what_it_names(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        wanted = resource(change("retention.ms", SET, "7"), change("flush.ms", DELETE, None))
        assert await alter(broker, wanted, version=version) == [ErrorCode.none]
        assert configs_of(broker) == {"retention.ms": "7", "segment.ms": "9"}

    with_topic(scenario, {"retention.ms": "5", "flush.ms": "1", "segment.ms": "9"})


@pytest.mark.parametrize(
    ("before", "operation", "value", "after"),
    [
        (None, APPEND, "compact", "delete,compact"),
        (None, APPEND, "delete", None),
        (None, SUBTRACT, "delete", ""),
        (None, SUBTRACT, "compact", "delete"),
        ("compact", APPEND, "delete", "compact,delete"),
        ("compact,delete", SUBTRACT, "compact", "delete"),
        ("compact,delete", SUBTRACT, "compact,delete", ""),
        ("", APPEND, "delete", "delete"),
    ],
)
def test_alter_of_a_list_adds_and_takes_away_items(
    before: str | None, operation: int, value: str, after: str | None
) -> None:
    async def scenario(broker: Broker) -> None:
        wanted = resource(change("cleanup.policy", operation, value))
        assert await alter(broker, wanted) == [ErrorCode.none]
        effective = configs_of(broker).get("cleanup.policy", "delete")
        assert effective == ("delete" if after is None else after)

    with_topic(scenario, {} if before is None else {"cleanup.policy": before})


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (resource(change("retention.ms", SET, "x")), ErrorCode.invalid_config),
        (resource(change("retention.ms", APPEND, "7")), ErrorCode.invalid_config),
        (resource(change("retention.ms", SUBTRACT, "7")), ErrorCode.invalid_config),
        (resource(change("nope", APPEND, "7")), ErrorCode.invalid_config),
        (resource(change("nope", SET, "7")), ErrorCode.invalid_config),
        (resource(change("min.insync.replicas", SET, "2")), ErrorCode.invalid_config),
        (resource(change("cleanup.policy", APPEND, "shred")), ErrorCode.invalid_config),
        (resource(change("retention.ms", SET, None)), ErrorCode.invalid_request),
        (resource(change("cleanup.policy", APPEND, None)), ErrorCode.invalid_request),
        (resource(change("retention.ms", 9, "7")), ErrorCode.invalid_request),
        (
            resource(change("flush.ms", SET, "1"), change("flush.ms", DELETE, None)),
            ErrorCode.invalid_request,
        ),
        (
            resource(change("flush.ms", SET, "1"), change("retention.ms", SET, "x")),
            ErrorCode.invalid_config,
        ),
        (resource(name="nope"), ErrorCode.unknown_topic_or_partition),
        (resource(name=""), ErrorCode.invalid_request),
        (resource(kind=BROKER, name="1"), ErrorCode.invalid_request),
        (resource(kind=LOGGER, name="1"), ErrorCode.invalid_request),
        (resource(kind=0), ErrorCode.invalid_request),
        (resource(change("nope", DELETE, None)), ErrorCode.none),
        (resource(), ErrorCode.none),
    ],
)
def test_alter_that_cannot_be_has_the_code_of_kafka_and_changes_nothing(
    wanted: Values, code: ErrorCode
) -> None:
    async def scenario(broker: Broker) -> None:
        assert await alter(broker, wanted) == [code]
        assert configs_of(broker) == {"segment.ms": "9"}

    with_topic(scenario, {"segment.ms": "9"})


@pytest.mark.parametrize("api", ["incremental_alter_configs", "alter_configs"])
def test_alter_only_validated_changes_nothing(api: str) -> None:
    async def scenario(broker: Broker) -> None:
        wanted = resource(change("retention.ms", SET, "7"))
        assert await alter(broker, wanted, api=api, validate_only=True) == [ErrorCode.none]
        assert configs_of(broker) == {}

    with_topic(scenario)


def test_alter_of_a_topic_named_twice_changes_only_the_others() -> None:
    async def scenario(broker: Broker) -> None:
        await broker.log.create_topic("other")
        wanted = [
            resource(change("flush.ms", SET, "1")),
            resource(change("flush.ms", SET, "2"), name="other"),
            resource(change("flush.ms", SET, "3")),
        ]
        twice = ErrorCode.invalid_request
        assert await alter(broker, *wanted) == [twice, ErrorCode.none, twice]
        assert configs_of(broker) == {}
        assert broker.log.state.topics["other"].configs == {"flush.ms": "2"}

    with_topic(scenario)


@pytest.mark.parametrize("version", range(3))
def test_alter_in_the_old_way_replaces_all_configs(version: int) -> None:
    async def scenario(broker: Broker) -> None:
        wanted = resource(change("retention.ms", SET, "7"))
        codes = await alter(broker, wanted, api="alter_configs", version=version)
        assert codes == [ErrorCode.none]
        assert configs_of(broker) == {"retention.ms": "7"}

    with_topic(scenario, {"retention.ms": "5", "flush.ms": "1"})


def test_alter_in_the_old_way_without_a_value_is_refused() -> None:
    async def scenario(broker: Broker) -> None:
        wanted = resource(change("retention.ms", SET, None))
        assert await alter(broker, wanted, api="alter_configs") == [ErrorCode.invalid_request]
        assert configs_of(broker) == {"flush.ms": "1"}

    with_topic(scenario, {"flush.ms": "1"})
