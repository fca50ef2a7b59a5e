import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import InvalidRequest
from tidings.kafka.framing import FrameReader


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 300)))
def test_frames_cut_anywhere_come_out_whole(frames: list[bytes], cuts: list[int]) -> None:
    stream = framed(*frames)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = FrameReader(20)
    found: list[bytes] = []
    for start, end in itertools.pairwise(places):
        found += map(bytes, reader.feed(stream[start:end]))
    assert found == frames
    assert reader.buffered_bytes == 0


def test_frame_that_is_not_complete_is_kept() -> None:
    reader = FrameReader(100)
    assert reader.feed(framed(b"a" * 100)[:50]) == []
    assert reader.buffered_bytes == 50


def test_frame_of_the_largest_size_is_taken() -> None:
    assert FrameReader(3).feed(framed(b"abc")) == [b"abc"]


@pytest.mark.parametrize("size", [4, 2**31 - 1, -1, -(2**31)])
def test_frame_of_an_impossible_size_is_refused_before_it_arrives(size: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{size} bytes"):
        FrameReader(3).feed(size.to_bytes(4, "big", signed=True))


def test_impossible_size_behind_a_frame_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        FrameReader(3).feed(framed(b"abc") + b"GET ")
