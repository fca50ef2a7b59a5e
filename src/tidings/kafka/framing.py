"""From a stream of bytes to frames: four bytes of size, then so many bytes. No I/O here.

What has arrived of a frame is kept as it came and joined once. A frame that lies in one chunk of
the stream is a view of it, or, if it is small, a copy: pieces of bytes are cheaper than of views.
"""

import struct
from collections.abc import Sequence

from tidings.errors import InvalidRequest

_SIZE = struct.Struct(">i")

SIZE_BYTES = _SIZE.size
"""What stands before each frame."""


_COPIED_BYTES_MAX = 16 * 1024
"""A frame up to this size is copied if it is all that has arrived."""


class FrameReader:
    """Cuts one stream into frames."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        # What has arrived and is no frame yet, in order.
        self._chunks: list[memoryview] = []
        # The bytes in `_chunks`.
        self.buffered_bytes = 0
        # Nothing can be cut before this many bytes are there: a size, or size and frame.
        self.wanted_bytes = _SIZE.size

    def feed(self, data: bytes) -> Sequence[bytes | memoryview]:
        """Take the next bytes of the stream; return the frames that they complete, in order.

        Raises:
            InvalidRequest: A size is negative or above the limit; the stream is of no more use.
        """
        size = len(data)
        if (
            not self._chunks
            and _SIZE.size <= size <= _COPIED_BYTES_MAX
            and _SIZE.unpack_from(data)[0] == size - _SIZE.size
            and size - _SIZE.size <= self._frame_bytes_max
        ):
            # One whole frame, as from a client that waits for its answer.
            return [data[_SIZE.size :]]
        self._chunks.append(memoryview(data))
        self.buffered_bytes += len(data)
        if self.buffered_bytes < self.wanted_bytes:
            return []
        return self._cut(self._joined())

    def _joined(self) -> memoryview:
        if len(self._chunks) == 1:
            return self._chunks[0]
        return memoryview(b"".join(self._chunks))

    def _cut(self, data: memoryview) -> list[memoryview]:
        frames: list[memoryview] = []
        start, size = 0, len(data)
        self.wanted_bytes = _SIZE.size
        while size - start >= _SIZE.size:
            end = start + _SIZE.size + self._frame_size(data, start)
            if end > size:
                self.wanted_bytes = end - start
                break
            frames.append(data[start + _SIZE.size : end])
            start = end
        self._chunks = [data[start:]] if start < size else []
        self.buffered_bytes = size - start
        return frames

    def _frame_size(self, data: memoryview, position: int) -> int:
        size: int = _SIZE.unpack_from(data, position)[0]
        if not 0 <= size <= self._frame_bytes_max:
            raise InvalidRequest(f"a frame of {size} bytes; the limit is {self._frame_bytes_max}")
        return size
