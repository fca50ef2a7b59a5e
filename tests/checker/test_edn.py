"""EDN: what Jepsen writes is read; everything else is refused with its place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.checker.edn import NESTING_MAX, read_edn
from tidings.errors import InvalidRequest
from tidings.types import Json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-3", -3),
        ("+4", 4),
        ("12N", 12),
        ("2.5M", 2.5),
        ("1e3", 1000.0),
        ('"a \\"b\\" \\\\ \\n \\u00e9 ü"', 'a "b" \\ \n é ü'),
        ('"\\ud83d\\ude00"', "😀"),
        ('"two\nlines"', "two\nlines"),
        (":ok", "ok"),
        (":seek-to-beginning?", "seek-to-beginning?"),
        (":a/b", "a/b"),
        ("java.io.IOException", "java.io.IOException"),
        ("-", "-"),
        ("\\a", "a"),
        ("\\newline", "\n"),
        ("\\(", "("),
        ("[]", []),
        ("[1 2]", [1, 2]),
        ("[1, 2 3]", [1, 2, 3]),
        ("[[0 1] [2 3]]", [[0, 1], [2, 3]]),
        ("(1 :a)", [1, "a"]),
        ("#{3 1}", [3, 1]),
        ('{:a {"b" [0 1]}, 7 nil}', {"a": {"b": [0, 1]}, 7: None}),
        ('#inst "2024-01-01"', "2024-01-01"),
        ("#a #b.C{:x 1}", {"x": 1}),
        ("[1 #_2 #_ #_ [0 1] {:a 1} 5]", [1, 5]),
        ("[#_ #tag 1 2]", [2]),
        ("[1 ; a comment ]\n 2]", [1, 2]),
        (" , 1 ,; end", 1),
    ],
)
def test_edn_is_read_as_json_could_carry_it(text: str, value: Json) -> None:
    read = read_edn(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1, column 1: expected one value, found 0"),
        ("#_1", "expected one value, found 0"),
        ("1 2", "expected one value, found 2"),
        ("[1", "column 1: what begins here is never finished"),
        ("[1 #tag", "column 4: what begins here is never finished"),
        ("#_", "column 1: what begins here is never finished"),
        ("]", "column 1: ']' closes nothing"),
        ("[1}", "column 3: '}' closes nothing"),
        ("[1 #_]", "column 6: ']' closes nothing"),
        ("{:a}", "a map has a key without a value"),
        ("{:a 1 :a 2}", "a map has the same key twice"),
        ("{[0 1] 2}", "a map has a collection as a key"),
        ("01", "'01' is not a number"),
        ("[0 01]", "'01' is not a number"),
        ("9" * 5000, "is not a number of up to 18 digits"),
        ("1٣", "is not a number"),
        ("1/3", "'1/3' is not a number"),
        ("1.", "'1.' is not a number"),
        ("[1\n  @]", "line 2, column 3: this is not EDN"),
        ("##Inf", "this is not EDN"),
        ('"abc', "column 1: this is not EDN"),
        ('"a\\q"', r"unknown escape \\q"),
        ('"\\ud83d"', "half a character"),
        (":", "this is not EDN"),
        ("\x00", "this is not EDN"),
    ],
)
def test_what_is_not_edn_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        read_edn(text)


def test_depth_is_bounded() -> None:
    deepest: Json = read_edn("[" * NESTING_MAX + "]" * NESTING_MAX)
    assert isinstance(deepest, list)
    with pytest.raises(InvalidRequest, match="brackets are open"):
        read_edn("[" * (NESTING_MAX + 1))


@given(st.text(alphabet='[]{}()#_"\\:;a1 -.N\n,', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        read_edn(text)
