"""Lines, messages, replies and errors, without any I/O."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidings.errors
from tidings.errors import InvalidRequest, TidingsError, Unavailable
from tidings.maelstrom import protocol
from tidings.maelstrom.protocol import (
    CODE_OF_ERROR,
    CommitOffsets,
    ErrorCode,
    Header,
    Init,
    LineSplitter,
    ListCommittedOffsets,
    Malformed,
    Message,
    OutstandingCalls,
    Poll,
    Send,
    decode,
    encode,
    error_of,
    parse,
)

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def line(body: str) -> bytes:
    return b'{"src":"c1","dest":"n1","body":' + body.encode() + b"}"


@given(st.lists(st.binary(max_size=6).filter(lambda part: b"\n" not in part)), st.data())
def test_splitter_cut_anywhere_returns_the_same_lines(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"\n".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)))))
    splitter = LineSplitter()
    lines = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        lines += splitter.feed(whole[start:end])
    lines.append(splitter.finish())
    assert [part for part in lines if part] == [part.strip() for part in parts if part.strip()]


def test_splitter_line_too_long_is_dropped_and_the_next_one_kept() -> None:
    splitter = LineSplitter(line_bytes_max=4)
    assert splitter.feed(b"ab") == []
    assert splitter.feed(b"cdefgh") == []
    assert splitter.feed(b"ij\nklmn\n12345\n") == [b"klmn"]
    assert splitter.overlong_count == 2


@given(any_json)
def test_message_any_json_comes_back_unchanged(value: Any) -> None:
    message = decode(encode("n1", "c1", {"type": "send", "msg": value}).strip())
    assert message == Message("n1", "c1", {"type": "send", "msg": value})
    assert repr(message.body["msg"]) == repr(value)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"\xff", b'"src"', b'{"src":"c1","dest":"n1"}', b"[" * 100_000],
)
def test_decode_line_that_is_no_message_is_malformed_and_owed_nothing(text: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode(text)
    assert caught.value.request is None


@pytest.mark.parametrize("value", ["1e400", "1" * 5_000])
def test_decode_number_that_cannot_be_carried_names_the_request(value: str) -> None:
    with pytest.raises(Malformed, match="out of range") as caught:
        decode(line(f'{{"type":"send","msg_id":7,"key":"k","msg":{value}}}'))
    assert caught.value.request == Header("c1", "n1", 7)


def test_decode_reply_that_cannot_be_carried_is_owed_nothing() -> None:
    with pytest.raises(Malformed) as caught:
        decode(line('{"type":"read_ok","msg_id":7,"in_reply_to":1,"value":1e400}'))
    assert caught.value.request is None


@pytest.mark.parametrize(
    ("body", "is_request"),
    [
        ('{"type":"send","msg_id":1}', True),
        ('{"type":"send","msg_id":1,"in_reply_to":null}', True),
        ('{"msg_id":1}', True),
        ('{"type":"send"}', False),
        ('{"type":"send","msg_id":true}', False),
        ('{"type":"send","msg_id":"1"}', False),
        ('{"type":"send","msg_id":1.0}', False),
        ('{"type":"send_ok","msg_id":1,"in_reply_to":2}', False),
        ('{"type":"send_ok","msg_id":1,"in_reply_to":"2"}', False),
    ],
)
def test_request_needs_an_integer_msg_id_and_no_in_reply_to(body: str, is_request: bool) -> None:
    assert (decode(line(body)).request is not None) == is_request


@pytest.mark.parametrize(
    ("shape", "body", "told"),
    [
        (Send, {"msg": 1}, "key"),
        (Send, {"key": "k"}, "msg"),
        (Send, {"key": 1, "msg": 1}, r"\$\.key"),
        (Poll, {}, "offsets"),
        (Poll, {"offsets": []}, "object"),
        (Poll, {"offsets": {"k": -1}}, ">= 0"),
        (Poll, {"offsets": {"k": True}}, "bool"),
        (Poll, {"offsets": {"k": 1.0}}, "float"),
        (Poll, {"offsets": {"k": 2**63}}, "<="),
        (CommitOffsets, {"offsets": {"k": "1"}}, "str"),
        (ListCommittedOffsets, {"keys": "k"}, "array"),
        (ListCommittedOffsets, {"keys": [1]}, "str"),
        (Init, {"node_id": "n1"}, "node_ids"),
    ],
)
def test_parse_wrong_field_tells_which(shape: Any, body: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        parse(body, shape)


def test_parse_unknown_fields_and_empty_maps_are_accepted() -> None:
    assert parse({"offsets": {}, "extra": 1}, Poll) == Poll({})
    assert parse({"key": "", "msg": None}, Send) == Send("", None)


def test_errors_every_kind_has_a_code_that_is_as_definite() -> None:
    kinds = [
        kind
        for kind in vars(tidings.errors).values()
        if isinstance(kind, type) and issubclass(kind, TidingsError) and kind is not TidingsError
    ]
    assert set(kinds) == set(CODE_OF_ERROR)
    for kind in kinds:
        assert CODE_OF_ERROR[kind].definite == kind.definite, kind
        assert error_of(kind("why")) == {
            "type": "error",
            "code": CODE_OF_ERROR[kind],
            "text": "why",
        }


def test_errors_unknown_kind_is_indefinite() -> None:
    class Strange(TidingsError):
        pass

    assert error_of(Strange("?"))["code"] == ErrorCode.CRASH


def test_calls_reply_matches_once_and_only_from_whom_was_asked() -> None:
    calls: OutstandingCalls[str] = OutstandingCalls()
    first, second = calls.open("lin-kv", "one"), calls.open("seq-kv", "two")
    assert first != second
    assert calls.match("seq-kv", first) is None
    assert calls.match("lin-kv", first) == "one"
    assert calls.match("lin-kv", first) is None
    calls.close(second)
    assert calls.match("seq-kv", second) is None


def test_calls_too_many_outstanding_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CALLS_OUTSTANDING_MAX", 2)
    calls: OutstandingCalls[str] = OutstandingCalls()
    calls.open("lin-kv", "one")
    last = calls.open("lin-kv", "two")
    with pytest.raises(Unavailable):
        calls.open("lin-kv", "three")
    calls.close(last)
    calls.open("lin-kv", "three")
