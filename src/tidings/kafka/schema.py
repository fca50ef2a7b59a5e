"""The layout of Kafka's messages, as kio's generated classes tell it.

A *message* is a request or a response of one version; an *entity* is a message or a structure in
one. `fields_of` says how an entity lies on the wire: its plain fields in this order, then, in a
flexible version, its tagged fields (KIP-482).
"""

import dataclasses
import datetime
import types
import typing
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

Entity: TypeAlias = Any
"""One of kio's generated classes, whose attributes are not worth a protocol of their own."""

ENTITY_KIND = "entity"
"""The kind of a field that is a structure; other kinds are kio's names of primitive types."""

_ZERO: Mapping[str, object] = {
    "bool": False,
    "bytes": b"",
    "float64": 0.0,
    "records": None,
    "string": "",
    "uuid": None,
    ENTITY_KIND: {},
}
"""What an absent field holds when the schema names no default; other kinds are numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity."""

    name: str
    kind: str
    entity: Entity | None
    """The class of a structure; None for other kinds."""
    is_array: bool
    is_nullable: bool
    """Whether the value, or the array as a whole, may be None."""
    tag: int | None
    """The number of a tagged field; None for a plain one."""
    default: object
    """The value of an absent field; for a structure, a dictionary of those of its fields."""


def request_class(module: str, version: int) -> Entity:
    """Return kio's class of a request; `module` is kio's name of the API."""
    return _message_class(module, version, "Request")


def response_class(module: str, version: int) -> Entity:
    """Return kio's class of a response; `module` is kio's name of the API."""
    return _message_class(module, version, "Response")


@cache
def _message_class(module: str, version: int, suffix: str) -> Entity:
    # From the module of the one message, for each class takes milliseconds to come into being.
    loaded = import_module(f"kio.schema.{module}.v{version}.{suffix.lower()}")
    name = "".join(word.capitalize() for word in module.split("_")) + suffix
    return getattr(loaded, name)


@cache
def fields_of(entity: Entity) -> tuple[Field, ...]:
    """Return an entity's fields in the order of the wire, tagged ones by their tags."""
    fields = [_field(field) for field in dataclasses.fields(entity)]
    plain = [field for field in fields if field.tag is None]
    tagged = [field for field in fields if field.tag is not None]
    return (*plain, *sorted(tagged, key=lambda field: field.tag or 0))


def _field(field: dataclasses.Field[Any]) -> Field:
    inner, is_nullable = _without_none(field.type)
    origin: Entity = typing.get_origin(inner)
    is_array = origin is tuple
    if is_array:
        inner, _ = _without_none(typing.get_args(inner)[0])
    is_entity = dataclasses.is_dataclass(inner)
    kind = ENTITY_KIND if is_entity else field.metadata["kafka_type"]
    return Field(
        name=field.name,
        kind=kind,
        entity=inner if is_entity else None,
        is_array=is_array,
        is_nullable=is_nullable,
        tag=field.metadata.get("tag"),
        default=_default(field, kind, is_array=is_array),
    )


def _without_none(annotation: Entity) -> tuple[Entity, bool]:
    if not isinstance(annotation, types.UnionType):
        return annotation, False
    (inner,) = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    return inner, True


def _default(field: dataclasses.Field[Any], kind: str, *, is_array: bool) -> object:
    if dataclasses.is_dataclass(field.default) and not isinstance(field.default, type):
        return dataclasses.asdict(field.default)
    if isinstance(field.default, datetime.timedelta):
        return field.default // datetime.timedelta(milliseconds=1)
    if field.default is not dataclasses.MISSING:
        return field.default
    return () if is_array else _ZERO.get(kind, 0)
