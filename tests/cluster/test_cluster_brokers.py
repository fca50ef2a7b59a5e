"""Who is registered, who is alive, who is preferred."""

from collections import Counter

import msgspec
import pytest

from tidings.errors import Corrupt, Unavailable
from tidings.kafka.cluster.brokers import (
    BROKERS_MAX,
    Registration,
    Sightings,
    decode_brokers,
    encode_brokers,
    preferred,
    registered,
)


def broker(node_id: int, beat: int = 0, incarnation: str = "a") -> Registration:
    return Registration(node_id, incarnation, "host", 9092, "host", 9093, None, beat)


def test_brokers_cell_is_read_as_it_was_written() -> None:
    assert decode_brokers(None) == []
    assert decode_brokers(encode_brokers([broker(2), broker(1)])) == [broker(1), broker(2)]


@pytest.mark.parametrize("cell", [b"", b"\xc1", b"\x91\x01", msgspec.msgpack.encode({"a": 1})])
def test_brokers_cell_with_something_else_is_corrupt(cell: bytes) -> None:
    with pytest.raises(Corrupt, match="brokers"):
        decode_brokers(cell)


def test_brokers_registration_takes_the_place_of_a_former_life() -> None:
    found = registered([broker(1), broker(2)], broker(1, incarnation="b"))
    assert found == [broker(2), broker(1, incarnation="b")]


def test_brokers_beyond_the_bound_do_not_register() -> None:
    full = [broker(node_id) for node_id in range(BROKERS_MAX)]
    assert len(registered(full, broker(0, beat=1))) == BROKERS_MAX
    with pytest.raises(Unavailable, match="most"):
        registered(full, broker(BROKERS_MAX))


def test_brokers_are_silent_while_their_beat_stands_still() -> None:
    sightings = Sightings()
    sightings.note([broker(1), broker(2)], 0)
    sightings.note([broker(1), broker(2, beat=1)], 10)
    assert [sightings.silent_s(node_id, 11) for node_id in (1, 2)] == [11, 1]
    sightings.note([broker(1, incarnation="b"), broker(2, beat=1)], 11)
    assert [sightings.silent_s(node_id, 11) for node_id in (1, 2)] == [0, 1]


def test_brokers_that_left_and_come_again_are_new() -> None:
    sightings = Sightings()
    sightings.note([broker(1)], 0)
    sightings.note([], 1)
    sightings.note([broker(1)], 2)
    assert sightings.silent_s(1, 2) == 0


def test_brokers_share_partitions_and_one_that_dies_moves_only_its_own() -> None:
    things = [f"news-{number}" for number in range(300)]
    before = {thing: preferred(thing, [1, 2, 3]) for thing in things}
    after = {thing: preferred(thing, [1, 3]) for thing in things}
    assert all(70 <= count <= 130 for count in Counter(before.values()).values())
    assert all(after[thing] == before[thing] for thing in things if before[thing] != 2)
