"""Builds HTML and SVG from strings; every text is escaped here and nowhere else."""

from html import escape

Attribute = str | float | int | None


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: Attribute) -> Markup:
    """Return an element.

    Args:
        name: Its name.
        content: Its children in order: markup as it is, anything else escaped.
        attributes: By name; `class_` is class, other underscores become hyphens, None is left out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Return pieces one after the other: markup as it is, anything else escaped."""
    return Markup(
        "".join(
            piece if isinstance(piece, Markup) else escape(piece, quote=False) for piece in content
        )
    )


def _attribute(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape(str(value))
