"""Reads EDN, the notation of Clojure, as far as a Jepsen history needs it.

What comes out is what JSON could carry: a keyword, symbol or character becomes a plain string
(a keyword without its colon), a list, vector or set becomes a list in its written order, and a
tagged value becomes the value alone. Ratios and symbolic numbers are refused.

The reader keeps its own stack, so that depth costs no recursion.
"""

import re
from dataclasses import dataclass, field

from tidings.errors import InvalidRequest
from tidings.types import Json

NESTING_MAX = 256
"""How many brackets may be open at once; more is an error."""

_TOKEN = re.compile(
    r"""
    [\s,]* (?: ;[^\n]* (?:\n|\Z) [\s,]* )*
    (?:
      (?P<open>   \#\{ | [\[({] )
    | (?P<close>  [\])}] )
    | (?P<string> "(?:[^"\\]|\\.)*" )
    | (?P<number> [+-]?\d[^\s,;"()\[\]{}]* )
    | (?P<keyword>:[^\s,;"()\[\]{}:][^\s,;"()\[\]{}]* )
    | (?P<discard>\#_ )
    | (?P<tag>    \#[A-Za-z][^\s,;"()\[\]{}]* )
    | (?P<char>   \\(?: [^\s]\w* ) )
    | (?P<symbol> [^\s,;"()\[\]{}\#:\\\d][^\s,;"()\[\]{}]* )
    | (?P<end>    \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*)N?")
_FLOAT = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?M?")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)

_CLOSER = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_CHARACTERS = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t"}
_CONSTANTS = {"nil": None, "true": True, "false": False}


@dataclass(slots=True)
class _Form:
    """A collection whose closing bracket has not come yet, or a prefix that awaits its value."""

    opener: str
    position: int
    items: list[Json] = field(default_factory=list)


def read_edn(text: str) -> Json:
    """Return the one value that `text` holds.

    Raises:
        InvalidRequest: Not EDN, no value, or more than one; says at which column of which line.
    """
    outer = _Form("", 0)
    stack = [outer]
    match_token = _TOKEN.match
    position = 0
    while True:
        token = match_token(text, position)
        if token is None:
            raise _refuse(text, position, "this is not EDN")
        kind = token.lastgroup
        position = token.end()
        if kind == "end":
            break
        assert kind is not None, "every alternative of the token is a named group"
        written = token[kind]
        start = position - len(written)
        if kind in ("open", "discard", "tag"):
            if len(stack) > NESTING_MAX:
                raise _refuse(text, start, f"more than {NESTING_MAX} brackets are open")
            stack.append(_Form("#" if kind == "tag" else written, start))
            continue
        if kind == "close":
            value = _close(text, stack, written, start)
        else:
            value = _read_atom(text, kind, written, start)
        _deliver(stack, value)
    if len(stack) > 1:
        raise _refuse(text, stack[-1].position, f"{stack[-1].opener!r} is never finished")
    if len(outer.items) != 1:
        raise _refuse(text, 0, f"expected one value, found {len(outer.items)}")
    return outer.items[0]


def _deliver(stack: list[_Form], value: Json) -> None:
    """Put a complete value where it belongs; a tag passes it on, a discard swallows it."""
    while stack[-1].opener == "#":
        stack.pop()
    if stack[-1].opener == "#_":
        stack.pop()
    else:
        stack[-1].items.append(value)


def _close(text: str, stack: list[_Form], closer: str, position: int) -> Json:
    form = stack[-1]
    if _CLOSER.get(form.opener) != closer:
        raise _refuse(text, position, f"{closer!r} closes nothing that is open here")
    stack.pop()
    return _read_map(text, form) if form.opener == "{" else form.items


def _read_map(text: str, form: _Form) -> dict[Json, Json]:
    items = form.items
    if len(items) % 2:
        raise _refuse(text, form.position, "a map has a key without a value")
    try:
        entries = dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:
        raise _refuse(text, form.position, "a map has a collection as a key") from None
    if 2 * len(entries) != len(items):
        raise _refuse(text, form.position, "a map has the same key twice")
    return entries


def _read_atom(text: str, kind: str, written: str, position: int) -> Json:
    if kind == "number":
        return _read_number(text, written, position)
    if kind == "string":
        return _read_string(text, written, position)
    if kind == "keyword":
        return written[1:]
    if kind == "char":
        return _CHARACTERS.get(written[1:], written[1:])
    return _CONSTANTS.get(written, written)


def _read_number(text: str, written: str, position: int) -> int | float:
    if _INTEGER.fullmatch(written):
        return int(written.removesuffix("N"))
    if _FLOAT.fullmatch(written):
        return float(written.removesuffix("M"))
    raise _refuse(text, position, f"{written!r} is not a number")


def _read_string(text: str, written: str, position: int) -> str:
    if "\\" not in written:
        return written[1:-1]

    def unescape(escape: re.Match[str]) -> str:
        name = escape[1]
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name not in _ESCAPED:
            raise _refuse(text, position, f"a string has the unknown escape \\{name}")
        return _ESCAPED[name]

    return _ESCAPE.sub(unescape, written[1:-1])


def _refuse(text: str, position: int, what: str) -> InvalidRequest:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return InvalidRequest(f"line {line}, column {column}: {what}")
