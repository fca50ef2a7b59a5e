"""A run to report on: one that lost a record, in a partition, and its messages."""

from pathlib import Path
from typing import Any

import msgspec
from test_summary import history, polled, sent

from tidings.checker.history import Event, save_history
from tidings.workbench.message_log import MESSAGES, MessageLog
from tidings.workbench.network import Message
from tidings.workbench.report.load import HISTORY, RESULTS, load_record
from tidings.workbench.report.record import RunRecord

PARTITION: list[tuple[Any, Any, str, Any]] = [
    ("nemesis", "info", "start-partition", {"n0": ["n1"], "n1": []})
]
HEALED: list[tuple[Any, Any, str, Any]] = [("nemesis", "info", "stop-partition", None)]

SKIPPING: list[Event] = history(
    *sent(0, "k", 0, 1),
    *PARTITION,
    *sent(1, "k", 1, 2),
    *sent(0, "k", 2, 3),
    *HEALED,
    *polled(1, {"k": [[0, 1], [2, 3]]}),
)
"""Process 1, of n1, polls over offset 1, which it wrote itself."""

SETTINGS = {"name": "forgetful", "node_count": 2, "concurrency": 4, "time_limit_s": 5.0}

EVIL = "</script><img src=x onerror=alert(1)>"
"""What must stay text wherever it appears."""


def write_messages(path: Path, count: int = 40) -> None:
    """Write messages, one every 10 ms, each underway for 5; the last is lost."""
    times_s = [0.0]
    log = MessageLog(path, lambda: times_s[0])
    log.begin()
    for number in range(count):
        body = {"type": "send", "key": "k", "msg": number, "text": EVIL}
        raw = msgspec.Raw(msgspec.json.encode(body))
        ends = ("c0", "n0") if number % 2 else ("n0", "lin-kv")
        times_s[0] = 0.01 * number
        sent_as = log.sent(Message(*ends, raw))
        times_s[0] += 0.005
        if number < count - 1:
            log.arrived(sent_as)
        else:
            log.lost(sent_as)
    log.close()


def store_run(folder: Path, events: list[Event] | None = None) -> Path:
    """Write what a run leaves behind; return the path of its history."""
    save_history(folder / HISTORY, SKIPPING if events is None else events)
    results = {"settings": SETTINGS, "main_phase_s": 10.0, "main_phase_operations": 100}
    (folder / RESULTS).write_bytes(msgspec.json.encode(results))
    write_messages(folder / MESSAGES)
    return folder / HISTORY


def record(events: list[Event] | None = None) -> RunRecord:
    """Return a run without settings and messages."""
    return load_record(Path("run.jsonl"), SKIPPING if events is None else events)
