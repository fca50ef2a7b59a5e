import gzip
from pathlib import Path

import msgspec
import pytest

from tidings.errors import InvalidRequest
from tidings.workbench import message_log
from tidings.workbench.message_log import MessageLog, read_messages
from tidings.workbench.network import Message


class Clock:
    def __init__(self) -> None:
        self.time_s = 100.0

    def now_s(self) -> float:
        return self.time_s


def message(text: str) -> Message:
    return Message("n0", "n1", msgspec.Raw(msgspec.json.encode({"text": text})))


def test_message_log_counts_times_from_the_begin(tmp_path: Path) -> None:
    clock = Clock()
    log = MessageLog(tmp_path / "m.gz", clock.now_s)
    early = log.sent(message("before"))
    clock.time_s = 101.0
    log.arrived(early)
    clock.time_s = 102.0
    log.begin()
    late = log.sent(message("after"))
    clock.time_s = 102.5
    log.arrived(late)
    log.close()
    first, second = read_messages(tmp_path / "m.gz")
    assert (first.sent, first.arrived) == (-2_000_000_000, -1_000_000_000)
    assert (second.sent, second.arrived) == (0, 500_000_000)
    assert bytes(second.body) == b'{"text":"after"}'
    assert (second.src, second.dest) == ("n0", "n1")


def test_message_log_keeps_what_was_lost_and_what_was_under_way(tmp_path: Path) -> None:
    log = MessageLog(tmp_path / "m.gz", Clock().now_s)
    log.begin()
    log.lost(log.sent(message("lost")))
    log.sent(message("under way"))
    log.close()
    messages = list(read_messages(tmp_path / "m.gz"))
    assert [found.arrived for found in messages] == [None, None]
    assert [found.id for found in messages] == [1, 2]


def test_message_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_log, "MESSAGES_MAX", 3)
    log = MessageLog(tmp_path / "m.gz", Clock().now_s)
    log.begin()
    for _ in range(10):
        log.arrived(log.sent(message("x")))
    log.close()
    assert len(list(read_messages(tmp_path / "m.gz"))) == 3


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"no message\n")], ids=["no gzip", "no message"]
)
def test_message_log_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gz").write_bytes(content)
    with pytest.raises(InvalidRequest, match="no messages can be read"):
        list(read_messages(tmp_path / "m.gz"))
