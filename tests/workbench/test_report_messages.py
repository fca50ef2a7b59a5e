import gzip
from base64 import b64decode

import msgspec
import pytest

from tidings.workbench.message_log import LoggedMessage
from tidings.workbench.report import messages as packing
from tidings.workbench.report.messages import (
    BODY_CHARS_MAX,
    PART_MESSAGES,
    Packed,
    message_rates,
    pack,
    peer_of,
)
from tidings.workbench.report.series import cut


def message(sent_us: int, *, text: str = "", lost: bool = False, dest: str = "n1") -> LoggedMessage:
    return LoggedMessage(
        id=0,
        sent=sent_us * 1000,
        arrived=None if lost else sent_us * 1000 + 5000,
        src="n0",
        dest=dest,
        body=msgspec.Raw(msgspec.json.encode({"text": text})),
    )


def unpack(packed: Packed, place: int) -> list[list[object]]:
    data = packed.parts[place].data
    assert data is not None
    rows: list[list[object]] = msgspec.json.decode(gzip.decompress(b64decode(data)))
    return rows


def test_pack_keeps_times_names_and_bodies() -> None:
    packed = pack([message(10, text="a"), message(20, lost=True, dest="lin-kv")], [])
    assert packed.names == ["n0", "n1", "lin-kv"]
    assert unpack(packed, 0) == [
        [10, 15, 0, 1, '{"text":"a"}'],
        [20, None, 0, 2, '{"text":""}'],
    ]
    assert (packed.kept, packed.total) == (2, 2)


def test_pack_cuts_into_parts_that_know_their_time() -> None:
    packed = pack([message(number) for number in range(2 * PART_MESSAGES + 1)], [])
    spans = [(part.begin_us, part.end_us, part.count) for part in packed.parts]
    assert spans == [
        (0, PART_MESSAGES - 1, PART_MESSAGES),
        (PART_MESSAGES, 2 * PART_MESSAGES - 1, PART_MESSAGES),
        (2 * PART_MESSAGES, 2 * PART_MESSAGES, 1),
    ]


def test_pack_that_is_full_keeps_what_matters_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACKED_BYTES_MAX", 20_000)
    everything = [message(number * 1000) for number in range(10 * PART_MESSAGES)]
    packed = pack(everything, [(7.5, 7.6)])
    kept = [place for place, part in enumerate(packed.parts) if part.data is not None]
    assert 7 in kept
    assert len(kept) < 10
    assert packed.kept == len(kept) * PART_MESSAGES
    assert sum(len(part.data or "") for part in packed.parts) <= 20_000


def test_pack_cuts_long_bodies() -> None:
    [row] = unpack(pack([message(0, text="x" * 10 * BODY_CHARS_MAX)], []), 0)
    assert len(str(row[4])) == BODY_CHARS_MAX + 1


def test_message_rates_count_by_who_is_involved_and_what_was_lost() -> None:
    found = message_rates(
        [message(0), message(1, dest="c7", lost=True), message(2, dest="seq-kv"), message(-5)],
        cut(1.0),
    )
    totals = {name: round(sum(rates) * 0.05) for name, rates in found.items()}
    assert totals == {"clients": 1, "lost": 1, "nodes": 1, "seq-kv": 1}


def test_peer_of_a_reply_is_the_service_that_sent_it() -> None:
    reply = LoggedMessage(id=0, sent=0, src="lin-kv", dest="n0", body=msgspec.Raw(b"{}"))
    assert peer_of(reply) == "lin-kv"
