"""What nodes tell each other saves time, and is never needed: it may be lost, late or nonsense."""

import asyncio

import msgspec
import pytest
from lone_node import (
    CREATE_A,
    A,
    Mailbox,
    WatchedBlobs,
    WatchedOrder,
    append_of,
    entry_of,
    make_log,
    read_all,
    running,
)

from tidings.core.entry import encode_entry
from tidings.engine.gossip import Entries, Forward
from tidings.engine.log import Log
from tidings.engine.preference import Preference
from tidings.engine.settings import Settings
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Slot

NAMES = ("n0", "n1")
FIRST = Preference("n0", NAMES, "journal", Settings()).preferred()
SECOND = "n1" if FIRST == "n0" else "n0"
"""Who publishes for both, and who asks it to."""

PAST_PATIENCE_S = 10.0
"""Long enough for a node to give up on its preferred publisher."""


class Pair:
    """Two nodes on the same stores; what they tell each other is passed on only by the test."""

    def __init__(self) -> None:
        inner = MemoryOrderStore()
        self.orders = {name: WatchedOrder(inner) for name in NAMES}
        blobs = WatchedBlobs(self.orders["n0"])
        self.mail = {name: Mailbox(name, NAMES) for name in NAMES}
        self.logs = {
            name: make_log(self.orders[name], blobs, peers=self.mail[name], life=life)
            for life, name in enumerate(NAMES)
        }

    @property
    def first(self) -> Log:
        return self.logs[FIRST]

    @property
    def second(self) -> Log:
        return self.logs[SECOND]

    def forwards(self) -> list[bytes]:
        """Return what the second has asked of the first."""
        return [data for _, data in self.mail[SECOND].sent if self._is(data, Forward)]

    def told(self) -> list[bytes]:
        """Return the entries that the first has sent to the second."""
        return [data for _, data in self.mail[FIRST].sent if self._is(data, Entries)]

    def _is(self, data: bytes, kind: type) -> bool:
        return isinstance(msgspec.msgpack.decode(data, type=Forward | Entries), kind)


def test_operation_is_forwarded_and_its_entry_comes_back_at_once() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()), asyncio.TaskGroup() as tasks:
            append = tasks.create_task(pair.second.append(A, b"x", create_topic=True))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            (forward,) = pair.forwards()
            pair.first.handle_message(SECOND, forward)
            for _ in range(10):
                await asyncio.sleep(0)
            (told,) = pair.told()
            pair.second.handle_message(FIRST, told)
            assert await append == 0
            assert asyncio.get_running_loop().time() == 0
            assert "append 0" not in pair.orders[SECOND].calls

    run(main())


def test_operation_forwarded_twice_is_applied_once() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()), asyncio.TaskGroup() as tasks:
            append = tasks.create_task(pair.second.append(A, b"x", create_topic=True))
            await asyncio.sleep(0.01)
            for _ in range(3):
                pair.first.handle_message(SECOND, pair.forwards()[0])
                await asyncio.sleep(0.02)
            assert await append == 0
            pair.first.handle_message(SECOND, pair.forwards()[0])
            assert await pair.first.append(A, b"y") == 1
            assert await read_all(pair.first) == [b"x", b"y"]

    run(main())


def test_operation_that_reaches_the_journal_twice_is_applied_once() -> None:
    """The second gives up on the first and publishes; the first, slow, does it all the same."""

    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()), asyncio.TaskGroup() as tasks:
            append = tasks.create_task(pair.second.append(A, b"x", create_topic=True))
            await asyncio.sleep(0.01)
            pair.orders[FIRST].is_open.clear()
            pair.first.handle_message(SECOND, pair.forwards()[0])
            await asyncio.sleep(PAST_PATIENCE_S)
            assert await append == 0
            pair.orders[FIRST].is_open.set()
            # It lost slot 0 to the second and may put the same submission into slot 1.
            await asyncio.sleep(PAST_PATIENCE_S)
            for log in pair.logs.values():
                assert await log.end_offset(A) == 1

    run(main())


def test_late_copy_in_the_journal_changes_nothing() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()):
            await pair.second.append(A, b"x", create_topic=True)
            order = pair.orders[FIRST]
            order.fill(*order.entries())
            for log in pair.logs.values():
                assert await log.end_offset(A) == 1
                assert log.journal.state.next_slot == 2
            assert await pair.second.append(A, b"y") == 1

    run(main())


def test_operation_survives_a_publisher_that_dies_between_forward_and_append() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(pair.second), asyncio.TaskGroup() as tasks:
            async with running(pair.first):
                append = tasks.create_task(pair.second.append(A, b"x", create_topic=True))
                await asyncio.sleep(0.01)
                pair.orders[FIRST].is_open.clear()
                pair.first.handle_message(SECOND, pair.forwards()[0])
                await asyncio.sleep(0.01)
                assert "append 0" in pair.orders[FIRST].calls
            assert await append == 0
            assert await read_all(pair.second) == [b"x"]

    run(main())


def test_entries_are_spread_to_those_who_do_not_wait_for_them_in_batches() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()):
            await pair.first.create_topic("a")
            for number in range(5):
                await pair.first.append(A, b"%d" % number)
            assert pair.told() == []
            await asyncio.sleep(0.5)
            (told,) = pair.told()
            pair.second.handle_message(FIRST, told)
            assert pair.second.journal.state.next_slot == 6
            assert await read_all(pair.second) == [b"0", b"1", b"2", b"3", b"4"]
            await asyncio.sleep(10)
            assert len(pair.told()) == 1

    run(main())


def test_node_that_never_hears_of_its_publisher_appends_through_the_store() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()):
            offsets = [await pair.second.append(A, b"x", create_topic=True) for _ in range(10)]
            assert offsets == list(range(10))
            assert await pair.first.end_offset(A) == 10

    run(main())


# Nodes that come and go ------------------------------------------------------------------------


def test_node_that_comes_later_is_told_of_entries_and_asked_to_publish() -> None:
    async def main() -> None:
        pair = Pair()
        for name in NAMES:
            pair.mail[name].node_ids.remove(FIRST if name == SECOND else SECOND)
        async with running(*pair.logs.values()), asyncio.TaskGroup() as tasks:
            assert await pair.second.append(A, b"alone", create_topic=True) == 0
            await pair.first.barrier()
            assert await pair.first.append(A, b"alone") == 1
            await asyncio.sleep(1)
            assert not pair.mail[FIRST].sent
            assert not pair.mail[SECOND].sent
            for name in NAMES:
                pair.mail[name].node_ids[:] = NAMES
            await pair.second.barrier()
            append = tasks.create_task(pair.second.append(A, b"together"))
            await asyncio.sleep(0.01)
            pair.first.handle_message(SECOND, pair.forwards()[0])
            await asyncio.sleep(0.01)
            pair.second.handle_message(FIRST, pair.told()[0])
            assert await append == 2

    run(main())


def test_node_that_left_is_sent_nothing_and_waited_for_no_more() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(*pair.logs.values()):
            await pair.first.append(A, b"0", create_topic=True)
            await asyncio.sleep(1)
            assert pair.told()
            for name in NAMES:
                pair.mail[name].node_ids[:] = [name]
                pair.mail[name].sent.clear()
            assert await pair.first.append(A, b"1") == 1
            await pair.second.barrier()
            assert await pair.second.append(A, b"2") == 2
            await asyncio.sleep(1)
            assert not pair.mail[FIRST].sent
            assert not pair.mail[SECOND].sent

    run(main())


def test_node_that_left_and_comes_again_is_told_from_the_start() -> None:
    """It may be a new life, which has nothing of what its former one was told."""

    async def main() -> None:
        pair = Pair()
        async with running(pair.first):
            await pair.first.append(A, b"0", create_topic=True)
            await asyncio.sleep(1)
            pair.mail[FIRST].node_ids.remove(SECOND)
            await pair.first.append(A, b"1")
            await asyncio.sleep(1)
            pair.mail[FIRST].node_ids.append(SECOND)
            pair.mail[FIRST].sent.clear()
            await pair.first.append(A, b"2")
            await asyncio.sleep(1)
            (told,) = pair.told()
            assert msgspec.msgpack.decode(told, type=Entries).start == 0

    run(main())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"?",
        b"\xff" * 100,
        msgspec.msgpack.encode(None),
        msgspec.msgpack.encode([9]),
        msgspec.msgpack.encode(Entries(Slot(0), [b"?"])),
        msgspec.msgpack.encode(Entries(Slot(0), [])),
        msgspec.msgpack.encode([1, 0, ["text"]]),
        msgspec.msgpack.encode(Entries(Slot(-5), [encode_entry(entry_of(CREATE_A))] * 3)),
    ],
    ids=repr,
)
def test_message_that_makes_no_sense_is_ignored(message: bytes) -> None:
    async def main() -> None:
        pair = Pair()
        async with running(pair.first):
            pair.first.handle_message(SECOND, message)
            await asyncio.sleep(PAST_PATIENCE_S)
            assert await pair.first.append(A, b"x", create_topic=True) == 0

    run(main())


def test_entries_told_twice_and_out_of_order_are_folded_once() -> None:
    async def main() -> None:
        pair = Pair()
        async with running(pair.first):
            entries = [entry_of(CREATE_A, append_of(b"%d" % n), number=n) for n in range(1, 5)]
            pair.orders[FIRST].fill(*entries)
            for start in (3, 2, 3, 0, 1, 0):
                data = [encode_entry(entry) for entry in entries[start : start + 2]]
                message = msgspec.msgpack.encode(Entries(Slot(start), data))
                pair.first.handle_message(SECOND, message)
            assert await read_all(pair.first) == [b"1", b"2", b"3", b"4"]

    run(main())
