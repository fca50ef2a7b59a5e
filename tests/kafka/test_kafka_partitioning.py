"""Keys go where Kafka's clients put them."""

from importlib import import_module

import pytest

from tidings.kafka.partitioning import murmur2, partition_of

murmur2_of_kafka_python = import_module("kafka.partitioner.default").murmur2

# From the tests of Kafka's own implementation, whose numbers are signed.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_murmur2_gives_what_kafkas_gives(key: bytes) -> None:
    assert murmur2(key) == JAVA[key] % 2**32


def test_murmur2_gives_what_kafka_python_gives_for_every_length() -> None:
    for length in range(40):
        key = bytes(range(255, 255 - length, -1))
        assert murmur2(key) == murmur2_of_kafka_python(key) % 2**32


def test_partition_of_a_key_is_javas() -> None:
    assert partition_of(b"foobar", 7) == (JAVA[b"foobar"] & 0x7FFFFFFF) % 7
