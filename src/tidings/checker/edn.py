"""Reads EDN, the notation of Clojure, as far as a Jepsen history needs it.

What comes out is what JSON could carry: a keyword, symbol or character becomes a plain string
(a keyword without its colon), a list, vector or set becomes a list in its written order, and a
tagged value becomes the value alone. Ratios, symbolic numbers and numbers of more than 18 digits
are refused.

The reader keeps its own stack, so that depth costs no recursion.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from tidings.errors import InvalidRequest
from tidings.types import Json

NESTING_MAX = 256
"""How many brackets may be open at once; more is an error."""

_TOKEN = re.compile(
    r"""
    [\s,]* (?: ;[^\n]* (?:\n|\Z) [\s,]* )*
    (?:
      (?P<pair>   \[[0-9]+\ [0-9]+\] )
    | (?P<open>   \#\{ | [\[({] )
    | (?P<close>  [\])}] )
    | (?P<string> "(?:[^"\\]|\\.)*" )
    | (?P<number> [+-]?[0-9][^\s,;"()\[\]{}]* )
    | (?P<keyword>:[^\s,;"()\[\]{}:][^\s,;"()\[\]{}]* )
    | (?P<discard>\#_ )
    | (?P<tag>    \#[A-Za-z][^\s,;"()\[\]{}]* )
    | (?P<character> \\(?: [^\s]\w* ) )
    | (?P<symbol> [A-Za-z.*+!_?$%&=<>/|'-][\w.*+!?$%&=<>/|'\#:-]* )
    | (?P<end>    \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})N?")
_FLOAT = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?M?")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)

_OPENERS = ("open", "tag", "discard")
_CLOSER = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "b": "\b", "f": "\f", "\\": "\\", '"': '"'}
_CHARACTERS = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t"}
_CONSTANTS = {"nil": None, "true": True, "false": False}


class _Form(NamedTuple):
    """A collection whose closing bracket has not come yet, or a prefix that awaits its value."""

    opener: str
    position: int
    items: list[Json]


def read_edn(text: str) -> Json:
    """Return the one value that `text` holds.

    Raises:
        InvalidRequest: Not EDN, no value, or more than one; says at which column of which line.
    """
    form = _Form("", 0, [])
    around: list[_Form] = []
    position = 0
    value: Json
    for token in _TOKEN.finditer(text):
        if token.start() != position:
            position = len(text) - len(text[position:].lstrip(" ,\t\r\n"))
            raise _refuse(text, position, "this is not EDN")
        kind = token.lastgroup
        assert kind is not None, "every alternative of the token is a named group"
        written = token[kind]
        position = token.end()
        start = position - len(written)
        if kind == "keyword":
            value = written[1:]
        elif kind == "pair":
            # Records are most of a history: [offset message] is read at one go.
            value = [_read_number(text, start, number) for number in written[1:-1].split(" ")]
        elif kind in _OPENERS:
            if len(around) == NESTING_MAX:
                raise _refuse(text, start, f"more than {NESTING_MAX} brackets are open")
            around.append(form)
            form = _Form(kind if kind != "open" else written, start, [])
            continue
        elif kind == "close":
            value = _close(text, form, written, start)
            form = around.pop()
        elif kind == "end":
            break
        else:
            value = _READ[kind](text, start, written)
        while form.opener == "tag":
            form = around.pop()
        if form.opener == "discard":
            form = around.pop()
        else:
            form.items.append(value)
    if around:
        raise _refuse(text, form.position, "what begins here is never finished")
    if len(form.items) != 1:
        raise _refuse(text, 0, f"expected one value, found {len(form.items)}")
    return form.items[0]


def _close(text: str, form: _Form, closer: str, position: int) -> Json:
    if _CLOSER.get(form.opener) != closer:
        raise _refuse(text, position, f"{closer!r} closes nothing that is open here")
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


def _read_symbol(_text: str, _position: int, written: str) -> Json:
    return _CONSTANTS.get(written, written)


def _read_character(_text: str, _position: int, written: str) -> str:
    return _CHARACTERS.get(written[1:], written[1:])


def _read_number(text: str, position: int, written: str) -> int | float:
    if _INTEGER.fullmatch(written):
        return int(written.removesuffix("N"))
    if _FLOAT.fullmatch(written):
        return float(written.removesuffix("M"))
    raise _refuse(text, position, f"{written[:40]!r} is not a number of up to 18 digits")


def _read_string(text: str, position: int, written: str) -> str:
    if "\\" not in written:
        return written[1:-1]

    def unescape(escape: re.Match[str]) -> str:
        name = escape[1]
        if len(name) > 1:
            return chr(int(name[1:], 16))
        if name not in _ESCAPED:
            raise _refuse(text, position, f"a string has the unknown escape \\{name}")
        return _ESCAPED[name]

    unescaped = _ESCAPE.sub(unescape, written[1:-1])
    try:
        # Java writes a character beyond 16 bits as two escapes.
        return unescaped.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _refuse(text, position, "a string has half a character") from None


_READ: dict[str, Callable[[str, int, str], Json]] = {
    "number": _read_number,
    "string": _read_string,
    "symbol": _read_symbol,
    "character": _read_character,
}
"""What reads each kind of token that is a value by itself: text, position, token → value."""


def _refuse(text: str, position: int, what: str) -> InvalidRequest:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return InvalidRequest(f"line {line}, column {column}: {what}")
