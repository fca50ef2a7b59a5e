"""The table of topic configs against what Apache Kafka 4.2 told of itself."""

from pathlib import Path

import msgspec
import pytest

from tidings.kafka.config_type import VALUE_CHARACTERS_MAX, InvalidConfig, Treatment
from tidings.kafka.topic_configs import TOPIC_CONFIGS, parse_configs

RECORDED = Path(__file__).with_name("kafka_topic_configs.json")
"""Name, type and default of each topic config, from a DescribeConfigs answer of Kafka 4.2.0."""


def test_table_of_configs_is_that_of_kafka() -> None:
    recorded = msgspec.json.decode(RECORDED.read_bytes())
    assert [
        {"name": config.name, "type": config.type, "default": config.default}
        for config in TOPIC_CONFIGS.values()
    ] == recorded


@pytest.mark.parametrize("name", TOPIC_CONFIGS)
def test_default_of_every_config_is_taken_unchanged(name: str) -> None:
    default = TOPIC_CONFIGS[name].default
    assert parse_configs({name: default}) == {name: default}


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("retention.ms", " 100 ", "100"),
        ("retention.ms", "+5", "5"),
        ("retention.ms", "-1", "-1"),
        ("retention.ms", str(2**63 - 1), str(2**63 - 1)),
        ("retention.bytes", "-1", "-1"),
        ("max.message.bytes", "0", "0"),
        ("preallocate", "TRUE", "true"),
        ("min.cleanable.dirty.ratio", "1e-1", "0.1"),
        ("cleanup.policy", "delete, compact", "delete,compact"),
        ("cleanup.policy", "delete,delete", "delete"),
        ("cleanup.policy", "compact", "compact"),
        ("cleanup.policy", "", ""),
        ("message.timestamp.type", "LogAppendTime", "LogAppendTime"),
        ("leader.replication.throttled.replicas", "*", "*"),
        ("leader.replication.throttled.replicas", "0:1,1:1", "0:1,1:1"),
        ("unclean.leader.election.enable", "true", "true"),
        ("compression.zstd.level", "-7", "-7"),
    ],
)
def test_value_that_kafka_takes_is_stored_in_one_form(name: str, given: str, stored: str) -> None:
    assert parse_configs({name: given}) == {name: stored}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("retention.ms", ""),
        ("retention.ms", "abc"),
        ("retention.ms", "1e3"),
        ("retention.ms", "-2"),
        ("retention.ms", str(2**63)),
        ("retention.ms", "9" * 40),
        ("max.message.bytes", "-1"),
        ("max.message.bytes", str(2**31)),
        ("segment.bytes", "1048575"),
        ("compression.zstd.level", "23"),
        ("preallocate", "yes"),
        ("cleanup.policy", "shred"),
        ("message.timestamp.type", "logappendtime"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("min.cleanable.dirty.ratio", "nan"),
        ("min.cleanable.dirty.ratio", "half"),
        ("leader.replication.throttled.replicas", "0:1,x"),
    ],
)
def test_value_that_kafka_refuses_is_refused_by_name(name: str, given: str) -> None:
    with pytest.raises(InvalidConfig, match=rf"{name} cannot be .*: it takes "):
        parse_configs({name: given})


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("compression.type", "zstd", "as their producer compressed them"),
        ("min.insync.replicas", "2", "one copy"),
        ("remote.storage.enable", "true", "tiered"),
        ("max.compaction.lag.ms", "1000", "not compacted"),
    ],
)
def test_promise_that_would_be_untrue_is_refused_with_its_reason(
    name: str, given: str, why: str
) -> None:
    assert TOPIC_CONFIGS[name].treatment is Treatment.DEFAULT_ONLY
    with pytest.raises(InvalidConfig, match=f"{name}={given} is refused: .*{why}.*leave it at"):
        parse_configs({name: given})


@pytest.mark.parametrize("name", ["nope", "message.format.version", "Retention.ms", ""])
def test_name_that_kafka_4_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfig, match=f"{name} is not a topic config of Kafka 4"):
        parse_configs({"retention.ms": "x", name: "1"})


def test_config_without_a_value_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"retention\.ms has no value"):
        parse_configs({"retention.ms": None})


def test_value_without_end_is_refused_unread() -> None:
    with pytest.raises(InvalidConfig, match=r"more than \d+ characters"):
        parse_configs({"cleanup.policy": "delete," * VALUE_CHARACTERS_MAX})


def test_negative_size_that_kafka_takes_for_all_is_refused_but_for_the_one_that_means_it() -> None:
    with pytest.raises(InvalidConfig, match="at least -1"):
        parse_configs({"retention.bytes": "-2"})
