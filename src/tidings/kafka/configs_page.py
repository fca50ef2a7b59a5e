"""docs/configs.md, written from the topic configs: `make docs`."""

import sys

from tidings.kafka.config_type import ConfigType, TopicConfig
from tidings.kafka.topic_configs import TOPIC_CONFIGS

_TOPICS = """\
# Topic configs

This page is written by `make docs` from the code that obeys it.

Every topic config of Apache Kafka 4 is known. Some are obeyed. Others are accepted, because what
they promise is true here whatever they say. For the rest only the default is taken: any other value
would promise something that is not so, and is refused with the reason.

A topic that says nothing of `retention.ms` and `retention.bytes` has what the broker was told
([settings.md](settings.md)).

| config | type | default | treatment | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    topics = "".join(_topic_row(config) for config in TOPIC_CONFIGS.values())
    return _TOPICS + topics


def _topic_row(config: TopicConfig) -> str:
    meaning = config.meaning[0].upper() + config.meaning[1:].rstrip(".") + "."
    kind = config.type.name.lower()
    if config.choices and config.type is not ConfigType.BOOLEAN:
        kind = " or ".join(config.choices)
        if config.type is ConfigType.LIST:
            kind = f"list of {kind}"
    default = f"`{config.default}`" if config.default else "empty"
    return f"| `{config.name}` | {kind} | {default} | {config.treatment.value} | {meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
