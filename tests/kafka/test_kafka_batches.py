"""What real clients sent, byte for byte: see batches/README.md."""

from pathlib import Path

import pytest

from tidings.kafka.record_batch import BatchHeader, Compression, check
from tidings.kafka.record_times import record_times

BATCHES = sorted((Path(__file__).parent / "batches").glob("*.batch"))
TIMES_MS = [*range(1_000_000, 1_010_000, 1000), 1234567, 1234567, 1234567, 2_000_000]


@pytest.mark.parametrize("path", BATCHES, ids=[path.stem for path in BATCHES])
def test_batch_of_a_real_client_is_accepted_and_read(path: Path) -> None:
    data = path.read_bytes()
    header = check(data, produce_version=9, size_bytes_max=len(data))
    assert isinstance(header, BatchHeader)
    assert header.is_idempotent
    assert (header.producer_epoch, header.base_sequence) == (0, 0)
    assert header.record_count == len(TIMES_MS)
    assert header.max_timestamp_ms == max(TIMES_MS)
    assert Compression(header.compression_code).name.lower() == path.stem.split("-")[1]
    assert [time.timestamp_ms for time in record_times(data)] == TIMES_MS
    assert [time.offset_delta for time in record_times(data)] == list(range(len(TIMES_MS)))


def test_batches_of_three_clients_and_five_compressions_are_there() -> None:
    assert len(BATCHES) == 15
