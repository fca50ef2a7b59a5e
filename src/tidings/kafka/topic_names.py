"""Which names a topic may have: Kafka's rules."""

import re
from collections.abc import Iterable

NAME_CHARACTERS_MAX = 249
"""The longest name of a topic."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def name_refusal(name: str) -> str | None:
    """Return why a topic cannot have this name; None if it can."""
    if not name:
        return "a topic needs a name"
    if name in (".", ".."):
        return f"{name!r} cannot be the name of a topic"
    if len(name) > NAME_CHARACTERS_MAX:
        return f"the name of a topic has at most {NAME_CHARACTERS_MAX} characters, not {len(name)}"
    if not _NAME.fullmatch(name):
        return f"{name!r} has characters other than ASCII letters, digits, '.', '_' and '-'"
    return None


def colliding_name(name: str, existing: Iterable[str]) -> str | None:
    """Return a topic that differs from `name` only in '.' and '_', which Kafka takes for one."""
    folded = name.replace(".", "_")
    if "_" not in folded:
        return None
    return next(
        (other for other in existing if other.replace(".", "_") == folded and other != name), None
    )
