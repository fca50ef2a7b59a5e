"""docs/configs.md, written from the topic configs and the broker's settings: `make docs`."""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator

from tidings.kafka.config_type import ConfigType, TopicConfig
from tidings.kafka.settings import BrokerSettings
from tidings.kafka.topic_configs import TOPIC_CONFIGS

_TOPICS = """\
# Configs

This page is written by `make docs` from the code that obeys it.

## Topics

Every topic config of Apache Kafka 4 is known. Some are obeyed. Others are accepted, because what
they promise is true here whatever they say. For the rest only the default is taken: any other value
would promise something that is not so, and is refused with the reason.

A topic that says nothing of `retention.ms` and `retention.bytes` has what the broker was told.

| config | type | default | treatment | meaning |
|---|---|---|---|---|
"""

_SETTINGS = """
## The broker

What a broker is told at its start. [broker.md](broker.md) has the options of `tidings serve` that
set some of them; the others are as they stand here. A name ends with its unit.

| setting | default | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    topics = "".join(_topic_row(config) for config in TOPIC_CONFIGS.values())
    meanings = dict(_meanings())
    settings = "".join(
        f"| `{field.name}` | {_default(field.default)} | {meanings[field.name]} |\n"
        for field in dataclasses.fields(BrokerSettings)
    )
    return _TOPICS + topics + _SETTINGS + settings


def _topic_row(config: TopicConfig) -> str:
    meaning = config.meaning[0].upper() + config.meaning[1:].rstrip(".") + "."
    kind = config.type.name.lower()
    if config.choices and config.type is not ConfigType.BOOLEAN:
        kind = " or ".join(config.choices)
        if config.type is ConfigType.LIST:
            kind = f"list of {kind}"
    default = f"`{config.default}`" if config.default else "empty"
    return f"| `{config.name}` | {kind} | {default} | {config.treatment.value} | {meaning} |\n"


def _default(value: object) -> str:
    return f"{value:,}" if type(value) is int and value >= 10_000 else f"`{value}`"


def _meanings() -> Iterator[tuple[str, str]]:
    """Yield each setting with the text that stands below it."""
    (structure,) = ast.parse(inspect.getsource(BrokerSettings)).body
    assert isinstance(structure, ast.ClassDef)
    for above, below in zip(structure.body, structure.body[1:], strict=False):
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name):
            assert isinstance(below, ast.Expr), f"{above.target.id} has no text"
            assert isinstance(below.value, ast.Constant)
            yield above.target.id, " ".join(str(below.value.value).split())


if __name__ == "__main__":
    sys.stdout.write(page())
