"""How a handler refuses one item of a request without refusing the others."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TypeVar

from kio.schema.errors import ErrorCode

from tidings.errors import TidingsError
from tidings.kafka.config_type import InvalidConfig
from tidings.kafka.errors import code_of

_T = TypeVar("_T", bound=Hashable)


class Refused(Exception):
    """One item of a request is refused, with Kafka's code and a text that says what to change."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


Refusal = Refused | InvalidConfig | TidingsError
"""What an item of a request may fail with; all of it becomes a code and a text."""

REFUSALS = (Refused, InvalidConfig, TidingsError)


def error_fields(refusal: Refusal) -> dict[str, object]:
    """Return the two fields that tell of an error in all administrative responses."""
    return {"error_code": _code(refusal), "error_message": str(refusal)}


def _code(refusal: Refusal) -> ErrorCode:
    match refusal:
        case Refused():
            return refusal.code
        case InvalidConfig():
            return ErrorCode.invalid_config
        case TidingsError():
            return code_of(refusal)


def repeated(items: Iterable[_T]) -> list[_T]:
    """Return the items that occur more than once, each once, in order."""
    return [item for item, count in Counter(items).items() if count > 1]
