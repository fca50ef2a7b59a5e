"""Clients that send what no client should: the broker answers, or closes, and goes on."""

import pytest
from broker_in_memory import read_response
from hostile_world import HostileWorld, framed, requests
from hypothesis import given, settings
from hypothesis import strategies as st

REQUESTS = requests()
API_VERSIONS = next(data for data in REQUESTS if data[4:8] == b"\0\x12\0\0")


@pytest.fixture(scope="module")
def world() -> HostileWorld:
    return HostileWorld()


def assert_still_serves(world: HostileWorld) -> None:
    answer = read_response("api_versions", 0, world.send([API_VERSIONS]).sent)
    assert len(answer.api_keys) > 5


def test_empty_request_of_every_version_of_every_api_is_answered_or_refused(
    world: HostileWorld,
) -> None:
    for data in REQUESTS:
        world.send([data])
    assert_still_serves(world)


@settings(deadline=None, max_examples=200)
@given(chunks=st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_leave_the_broker_unharmed(world: HostileWorld, chunks: list[bytes]) -> None:
    world.send(chunks)
    assert_still_serves(world)


@settings(deadline=None, max_examples=200)
@given(head=st.sampled_from(REQUESTS), tail=st.binary(max_size=100), cut=st.integers(0, 30))
def test_any_request_with_any_body_leaves_the_broker_unharmed(
    world: HostileWorld, head: bytes, tail: bytes, cut: int
) -> None:
    world.send([framed(head[4 : max(12, len(head) - cut)] + tail)])
    assert_still_serves(world)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_requests_with_some_bytes_changed_leave_the_broker_unharmed(
    world: HostileWorld, data: st.DataObject
) -> None:
    stream = bytearray(b"".join(data.draw(st.lists(st.sampled_from(REQUESTS), max_size=4))))
    for place in data.draw(st.lists(st.integers(0, max(0, len(stream) - 1)), max_size=4)):
        if stream:
            stream[place] = data.draw(st.integers(0, 255))
    world.send([bytes(stream)])
    assert_still_serves(world)
