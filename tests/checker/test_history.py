"""Histories on disk: what was saved is loaded, and bad files are refused by file and line."""

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.checker.history import LINE_BYTES_MAX, Event, load_history, save_history
from tidings.errors import InvalidRequest

EVENTS = [
    Event(index=0, time=5, type="invoke", process=0, f="assign", value=["8"]),
    Event(index=1, time=6, type="ok", process=0, f="assign", value=["8"], seek_to_beginning=True),
    Event(index=2, time=7, type="info", process="nemesis", f="start-partition", value=None),
    Event(index=3, time=8, type="invoke", process=1, f="poll", value=[["poll"]]),
    Event(index=4, time=9, type="ok", process=1, f="poll", value=[["poll", {"8": [[0, 1]]}]]),
    Event(index=5, time=9, type="fail", process=1, f="send", error=["unavailable", "é \n"]),
]
EDN = """\
{:index 0, :time 5, :type :invoke, :process 0, :f :assign, :value ["8"]}
{:index 1, :time 6, :type :ok, :process 0, :f :assign, :value ["8"], :seek-to-beginning? true}

{:index 2, :time 7, :type :info, :process :nemesis, :f :start-partition, :value nil}
{:index 3, :time 8, :type :invoke, :process 1, :f :poll, :value [[:poll]], :poll-ms 1000}
#op{:index 4, :time 9, :type :ok, :process 1, :f :poll, :value [[:poll {"8" [[0 1]]}]]}
{:index 5, :time 9, :type :fail, :process 1, :f :send, :error [:unavailable "é \\n"]}
"""
LINE = b'{"index":0,"time":0,"type":"ok","process":0,"f":"poll"}\n'


@pytest.mark.parametrize("name", ["history.jsonl", "history.jsonl.gz"])
def test_saved_history_is_loaded_as_it_was(tmp_path: Path, name: str) -> None:
    save_history(tmp_path / name, EVENTS)
    assert load_history(str(tmp_path / name)) == EVENTS


def test_saved_history_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    save_history(tmp_path / "a.jsonl.gz", EVENTS)
    save_history(tmp_path / "a.jsonl.gz", EVENTS)
    first = (tmp_path / "a.jsonl.gz").read_bytes()
    assert first[4:8] == bytes(4), "no time of writing in the header"
    assert gzip.decompress(first).count(b"\n") == len(EVENTS)


def test_jepsens_edn_history_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "history.edn").write_text(EDN)
    (tmp_path / "history.edn.gz").write_bytes(gzip.compress(EDN.encode()))
    assert load_history(tmp_path / "history.edn") == EVENTS
    assert load_history(tmp_path / "history.edn.gz") == EVENTS


def test_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("\n\n")
    assert load_history(tmp_path / "history.jsonl") == []


@pytest.mark.parametrize(
    "line",
    [
        LINE[:-20],
        b"[]",
        b"null",
        b'{"index":0}',
        b'{"index":"0","time":0,"type":"ok","process":0,"f":"poll"}',
        b'{"index":0,"time":0,"type":"done","process":0,"f":"poll"}',
        b'{"index":0,"time":0,"type":"ok","process":0,"f":"\xff"}',
        b'{"index":0,"time":0,"type":"ok","process":0,"f":"poll","value":' + b"[" * 100_000,
    ],
)
def test_json_line_that_is_no_event_is_refused_with_file_and_line(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(LINE + b"\n" + line)
    with pytest.raises(InvalidRequest, match=r"history\.jsonl, line 3: not an event of a history"):
        load_history(path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (EDN.splitlines()[0][:-9], "line 2: not an event of a history: line 1, column 1: "),
        ('{:index 0, :value [1 "}', "column 22: this is not EDN"),
        ("[:index 0]", "Expected `object`, got `array`"),
        ("{:index 0}", "missing required field `time`"),
        ("{0 1}", "not an event of a history"),
        ("{:index 0} {:index 1}", "expected one value, found 2"),
        ("[" * 1000, "more than 256 brackets are open"),
    ],
)
def test_edn_line_that_is_no_event_is_refused_with_file_and_line(
    tmp_path: Path, line: str, complaint: str
) -> None:
    path = tmp_path / "history.edn"
    path.write_text(EDN.splitlines()[0] + "\n" + line)
    with pytest.raises(InvalidRequest, match=complaint) as refused:
        load_history(path)
    assert "history.edn, line 2: " in str(refused.value)
    assert "remove it" in str(refused.value)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for name in ("history.json", "history", "history.gz", "history.edn.xz"):
        with pytest.raises(InvalidRequest, match=r"rename it to end in \.jsonl"):
            load_history(tmp_path / name)
    with pytest.raises(InvalidRequest, match="is saved as"):
        save_history(tmp_path / "history.edn", EVENTS)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(LINE * 100)
    (tmp_path / "text.jsonl.gz").write_bytes(LINE)
    (tmp_path / "short.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken.jsonl.gz").write_bytes(whole[:12] + b"\xff\xff" + whole[14:])
    for name in ("missing.jsonl", "text.jsonl.gz", "short.jsonl.gz", "broken.jsonl.gz"):
        with pytest.raises(InvalidRequest, match=rf"{name}: cannot be read"):
            load_history(tmp_path / name)
    with pytest.raises(InvalidRequest, match="cannot be read or written"):
        save_history(tmp_path / "no" / "history.jsonl", EVENTS)


def test_endless_line_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with path.open("wb") as file:
        file.write(LINE)
        file.truncate(LINE_BYTES_MAX + 100)
    with pytest.raises(InvalidRequest, match="line 2: longer than"):
        load_history(path)


@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    for name in ("history.jsonl", "history.edn"):
        (folder / name).write_bytes(data)
        with contextlib.suppress(InvalidRequest):
            load_history(folder / name)
