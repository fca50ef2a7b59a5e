"""What a topic config is: its type, its limits, and how its values are read."""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
_THROTTLED = re.compile(r"[0-9]{1,10}:[0-9]{1,10}")

VALUE_CHARACTERS_MAX = 10_000
"""The longest value of a config: a list of throttled replicas may be long."""


class InvalidConfig(ValueError):
    """A topic config that is refused; the text says why."""


class ConfigType(IntEnum):
    """The types of values, numbered as DescribeConfigs numbers them."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7


class Treatment(Enum):
    """What becomes of a config."""

    OBEYED = "obeyed"
    ACCEPTED = "accepted, changes nothing"
    DEFAULT_ONLY = "refused unless it is the default"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicConfig:
    """One row of the table."""

    name: str
    type: ConfigType
    default: str
    treatment: Treatment
    broker_name: str | None
    """The broker config that holds the default of all topics, where Kafka has one."""
    meaning: str
    """What it does here; for a config whose default alone is taken, why."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: str) -> str:
        """Return a value in the one form that is stored.

        Raises:
            InvalidConfig: It is no such value, or one that is refused here.
        """
        if len(value) > VALUE_CHARACTERS_MAX:
            raise InvalidConfig(
                f"{self.name} has more than {VALUE_CHARACTERS_MAX} characters; give a shorter value"
            )
        parsed = _PARSERS[self.type](self, value.strip())
        if self.treatment is Treatment.DEFAULT_ONLY and parsed != self.default:
            raise InvalidConfig(
                f"{self.name}={parsed} is refused: {self.meaning}; leave it at {self.default}"
            )
        return parsed


def _refuse(config: TopicConfig, value: str, wanted: str) -> InvalidConfig:
    return InvalidConfig(f"{config.name} cannot be {value!r}: it takes {wanted}")


def _boolean(config: TopicConfig, value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise _refuse(config, value, "true or false")
    return value.lower()


def _string(config: TopicConfig, value: str) -> str:
    if value not in config.choices:
        raise _refuse(config, value, " or ".join(config.choices))
    return value


def _limits(config: TopicConfig, highest: int) -> str:
    least = "any number" if config.minimum is None else f"a number of at least {config.minimum:g}"
    return f"{least}, at most {highest if config.maximum is None else config.maximum:g}"


def _whole_number(config: TopicConfig, value: str) -> str:
    highest = _INT_MAX if config.type is ConfigType.INT else _LONG_MAX
    wanted = "whole: " + _limits(config, highest)
    if not _NUMBER.fullmatch(value):
        raise _refuse(config, value, wanted)
    number = int(value)
    lowest = -highest - 1 if config.minimum is None else config.minimum
    if not lowest <= number <= (highest if config.maximum is None else config.maximum):
        raise _refuse(config, value, wanted)
    return str(number)


def _decimal(config: TopicConfig, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        raise _refuse(config, value, _limits(config, _LONG_MAX)) from None
    if not (config.minimum or 0) <= number <= (config.maximum or _LONG_MAX):
        raise _refuse(config, value, _limits(config, _LONG_MAX))
    return str(number)


def _list(config: TopicConfig, value: str) -> str:
    items = split_list(value)
    if config.choices:
        wanted = "a list of " + ", ".join(config.choices)
        acceptable = all(item in config.choices for item in items)
    else:
        wanted = "* or a list of PARTITION:BROKER"
        acceptable = items == ["*"] or all(_THROTTLED.fullmatch(item) for item in items)
    if not acceptable:
        raise _refuse(config, value, wanted)
    return ",".join(items)


_PARSERS = {
    ConfigType.BOOLEAN: _boolean,
    ConfigType.STRING: _string,
    ConfigType.INT: _whole_number,
    ConfigType.LONG: _whole_number,
    ConfigType.DOUBLE: _decimal,
    ConfigType.LIST: _list,
}


def split_list(value: str) -> list[str]:
    """Return the items of a list's value, each once, in order."""
    return list(dict.fromkeys(item for part in value.split(",") if (item := part.strip())))
