"""The one thing a coordinator reads in a consumer's metadata: which topics it subscribes to.

Layout of all versions (ConsumerProtocolSubscription): version INT16, then the topics as an array
with an INT32 count of strings with an INT16 length; what follows differs and is not looked at.
"""

import struct

PROTOCOL_TYPE = "consumer"
"""The protocol type whose metadata has this layout."""


def read_topics(metadata: bytes) -> list[str] | None:
    """Return the subscribed topics in order; None if the bytes are no subscription."""
    try:
        _, count = struct.unpack_from(">hi", metadata)
        position = 6
        topics = []
        # A count that lies ends at the first topic that is not there.
        for _ in range(count):
            (size,) = struct.unpack_from(">h", metadata, position)
            position += 2
            if size < 0 or position + size > len(metadata):
                return None
            topics.append(metadata[position : position + size].decode())
            position += size
    except (struct.error, UnicodeDecodeError):
        return None
    return topics
