"""Hostile record batches, guided by coverage: `make fuzz`.

A broker looks at a batch before it stores it. Nearly every altered byte fails the checksum, so that
each input is tried twice: as it is, and with the length and the checksum that fit it. Whatever it
is, it is taken or refused with a reason; what is taken the short way would be taken by the long
one; what was taken is read, or refused as a bad request. Inputs begin with what real clients sent.
"""

import contextlib
import struct
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tidings.kafka"]):
    from tidings.crc import crc32c
    from tidings.errors import InvalidRequest
    from tidings.kafka.append_rules import Accepted, AppendRules, accept
    from tidings.kafka.compression import decompress
    from tidings.kafka.record_batch import HEADER_BYTES, Refusal, read_plain
    from tidings.kafka.record_times import record_times
    from tidings.kafka.records import decode_batch

BATCHES = Path(__file__).parents[1] / "kafka" / "batches"

NOW_MS = 1_700_000_000_000
PRODUCE_VERSION = 9
INPUT_BYTES_MAX = 64 * 1024

RULES = (
    AppendRules(),
    AppendRules(log_append_time=True),
    AppendRules(needs_keys=True),
    AppendRules(before_max_ms=1000),
    AppendRules(max_message_bytes=200),
)

DECOMPRESSED_BYTES_MAX = 256 * 1024
"""Less than a broker takes: nearly all time would go to making room for what is no frame at all."""

RECORDS_READ_MAX = 1000
"""A batch of log-append time may say that it has two thousand millions."""


def try_batch(data: bytes) -> None:
    """See what becomes of a batch, as it is and when it is mended."""
    see(data)
    if len(data) >= HEADER_BYTES:
        see(mended(data))


def mended(data: bytes) -> bytes:
    """Return a batch with the base offset, length, magic and checksum that fit."""
    covered = data[21:]
    head = struct.pack(">qi4sbI", 0, len(data) - 12, data[12:16], 2, crc32c(covered))
    return head + covered


def see(data: bytes) -> None:
    """See that it is taken or refused, and that what is taken can be read or is refused then."""
    usual, *others = (
        accept(data, rules, produce_version=PRODUCE_VERSION, now_ms=NOW_MS) for rules in RULES
    )
    for outcome in (usual, *others):
        assert isinstance(outcome, Accepted) or (isinstance(outcome, Refusal) and outcome.text)
        if isinstance(outcome, Accepted):
            read(outcome.data)
    if (plain := read_plain(data)) is not None:
        late = accept(data, AppendRules(after_max_ms=2**63), produce_version=9, now_ms=NOW_MS)
        size_matters = len(data) > AppendRules().max_message_bytes
        assert isinstance(late, Accepted) or size_matters, f"{plain} was taken, but {late}"


def read(data: bytes) -> None:
    """Read a batch that was taken: its records may still be nonsense."""
    for records in (record_times(data), decode_batch(data)):
        with contextlib.suppress(InvalidRequest):
            for _ in zip(range(RECORDS_READ_MAX), records, strict=False):
                pass


def main() -> None:
    """Fuzz with libFuzzer's options; begin with real batches, or try the named file."""
    decompress.__defaults__ = (DECOMPRESSED_BYTES_MAX,)
    options = [*sys.argv, f"-max_len={INPUT_BYTES_MAX}"]
    if not any(Path(argument).is_file() for argument in sys.argv[1:]):
        options.append(str(BATCHES))
    with tempfile.TemporaryDirectory() as corpus:
        # The first folder takes what is new.
        options.insert(1, corpus)
        atheris.Setup(options, try_batch)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
