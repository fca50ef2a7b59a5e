"""Nodes that come, go, move and come again."""

import asyncio

import pytest
from strangers import channel_to
from tcp_nodes import Node, introduce, run_real, running, until

from tidings.peers import PeerAddress
from tidings.peers.channel import Kind


async def come_again(name: str, left: str) -> None:
    """Let a node end and come again, and talk with the one that is left before and after."""
    node, former = Node(left), Node(name)
    async with running(node):
        async with running(former):
            introduce(node, former)
            node.peers.send(name, b"first life")
            await until(lambda: former.received)
        await until(lambda: node.peers.connected() == [])
        again = Node(name, port=former.address.port)
        async with running(again):
            introduce(node, again)
            again.peers.send(left, b"I am back")
            await until(lambda: node.received)
            node.peers.send(name, b"second life")
            await until(lambda: again.received)
    assert former.received == [(left, b"first life")]
    assert again.received == [(left, b"second life")]
    assert node.received == [(name, b"I am back")]


@pytest.mark.parametrize(("name", "left"), [("n0", "n1"), ("n1", "n0")])
def test_tcp_node_that_comes_again_is_connected_again(name: str, left: str) -> None:
    run_real(come_again(name, left))


async def end_by_and_by(name: str, left: str) -> list[list[str]]:
    """Let a node close its connection, then end; return what the one that is left took for ended.

    After the first, and after the second.
    """
    node, former = Node(left), Node(name)
    ended: list[str] = []
    node.peers.end_observers.append(ended.append)
    seen = []
    async with running(node):
        async with running(former):
            introduce(node, former)
            await until(node.peers.connected)
            link = node.peers._links[name]
            former.peers._links[left].close()
            await until(lambda: node.peers._links.get(name, link) is not link)
            seen.append(list(ended))
        await until(lambda: ended)
        seen.append(list(ended))
    return seen


@pytest.mark.parametrize(("name", "left"), [("n0", "n1"), ("n1", "n0")])
def test_tcp_node_is_known_to_have_ended_once_nobody_listens_at_its_address(
    name: str, left: str
) -> None:
    async def scene() -> None:
        assert await end_by_and_by(name, left) == [[], [name]]

    run_real(scene())


def test_tcp_node_to_which_there_never_was_a_connection_is_not_said_to_have_ended() -> None:
    async def scene() -> None:
        node, other = Node("n0"), Node("n2")
        ended: list[str] = []
        node.peers.end_observers.append(ended.append)
        async with running(node, other):
            node.peers.tell({"n1": PeerAddress("127.0.0.1", 1), "n2": other.address})
            await until(node.peers.connected)
            # By now it has been refused by n1 as well, or n2 would have had to wait.
            other.peers.tell({"n0": node.address})
            other.peers.send("n0", b"later")
            await until(lambda: node.received)
            assert ended == []

    run_real(scene())


def test_tcp_node_that_is_forgotten_as_its_connection_breaks_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        node, former = Node("n1"), Node("n0")
        is_lost = node.peers._is_lost

        def forget_what_is_lost(name: str) -> bool:
            found = is_lost(name)
            if found:
                # Before anything that is begun now.
                asyncio.get_running_loop().call_soon(node.peers.tell, {})
            return found

        async with running(node):
            async with running(former):
                introduce(node, former)
                await until(node.peers.connected)
                monkeypatch.setattr(node.peers, "_is_lost", forget_what_is_lost)
            await until(lambda: node.peers.node_ids == ["n1"])
            again = Node("n0")
            async with running(again):
                introduce(node, again)
                again.peers.send("n1", b"still there")
                await until(lambda: node.received)

    run_real(scene())


def test_tcp_second_connection_of_a_node_takes_the_place_of_the_first() -> None:
    async def scene() -> None:
        node = Node("n1")
        async with running(node), channel_to(node.address, "n1"):
            node.peers.tell({"n0": node.address})
            await until(lambda: node.peers.connected() == ["n0"])
            async with channel_to(node.address, "n1") as second:
                second.write(Kind.MESSAGE, b"from the second")
                await until(lambda: node.received)
                node.peers.send("n0", b"to the second")
                assert await second.read() == (Kind.MESSAGE, b"to the second")

    run_real(scene())


def test_tcp_message_that_waits_when_a_connection_ends_goes_through_the_next() -> None:
    async def scene() -> None:
        node = Node("n1")
        async with running(node):
            node.peers.tell({"n0": node.address})
            async with channel_to(node.address, "n1"):
                await until(node.peers.connected)
                node.peers._links["n0"].close()
                node.peers.send("n0", b"not lost")
                await until(lambda: not node.peers.connected())
            async with channel_to(node.address, "n1") as second:
                assert await second.read() == (Kind.MESSAGE, b"not lost")

    run_real(scene())


def test_tcp_node_that_was_told_of_later_gets_messages() -> None:
    async def scene() -> None:
        first, second = Node("n0"), Node("n1")
        async with running(first, second):
            assert second.peers.node_ids == ["n1"]
            first.peers.tell({"n1": second.address})
            first.peers.send("n1", b"before n1 knows of n0")
            await until(lambda: second.received)
            second.peers.send("n0", b"to nobody that it knows")
            second.peers.tell({"n0": first.address})
            assert second.peers.node_ids == ["n0", "n1"]
            second.peers.send("n0", b"to n0")
            await until(lambda: first.received)
        assert first.received == [("n1", b"to n0")]

    run_real(scene())


def test_tcp_node_that_is_gone_is_disconnected_and_may_come_back() -> None:
    async def scene() -> None:
        first, second = Node("n0"), Node("n1")
        async with running(first, second):
            introduce(first, second)
            await until(second.peers.connected)
            first.peers.tell({})
            assert first.peers.node_ids == ["n0"]
            await until(lambda: not first.peers.connected() and not second.peers.connected())
            introduce(first, second)
            second.peers.send("n0", b"again")
            await until(lambda: first.received)

    run_real(scene())


def test_tcp_node_that_moved_is_found_at_its_new_address() -> None:
    async def scene() -> None:
        first, second = Node("n0"), Node("n1")
        async with running(first, second):
            first.peers.tell({"n1": PeerAddress("127.0.0.1", 1)})
            first.peers.send("n1", b"wait for it")
            first.peers.tell({"n1": second.address})
            await until(lambda: second.received)

    run_real(scene())


def test_tcp_address_that_can_be_none_is_tried_again_and_harms_nobody() -> None:
    async def scene() -> None:
        first, second = Node("n0"), Node("n1")
        async with running(first, second):
            first.peers.tell(
                {
                    "n1": second.address,
                    "n2": PeerAddress("x" * 100, 9),
                    "n3": PeerAddress("127.0.0.1", 99999),
                    "n4": PeerAddress("no\0host", 9),
                }
            )
            first.peers.send("n1", b"all is well")
            await until(lambda: second.received)

    run_real(scene())
