"""What waits for one node."""

from tidings.peers.outbox import Outbox
from tidings.peers.settings import QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX
from tidings.ports import MESSAGE_BYTES_MAX


def taken(outbox: Outbox) -> list[bytes]:
    return [outbox.take() for _ in range(len(outbox))]


def test_outbox_gives_messages_in_their_order() -> None:
    outbox = Outbox()
    for message in (b"one", b"", b"three"):
        outbox.put(message)
    assert taken(outbox) == [b"one", b"", b"three"]
    assert outbox.size_bytes == 0


def test_outbox_with_too_many_messages_drops_the_oldest() -> None:
    outbox = Outbox()
    for number in range(QUEUE_MESSAGES_MAX + 2):
        outbox.put(b"%d" % number)
    assert outbox.dropped == 2
    assert taken(outbox) == [b"%d" % number for number in range(2, QUEUE_MESSAGES_MAX + 2)]


def test_outbox_with_too_many_bytes_drops_the_oldest() -> None:
    outbox = Outbox()
    largest = bytes(MESSAGE_BYTES_MAX)
    for message in (b"oldest", largest, largest):
        outbox.put(message)
    assert taken(outbox) == [largest, largest]
    assert 2 * len(largest) <= QUEUE_BYTES_MAX
