"""What nodes do about those who are no nodes, or not of this cluster, or not well behaved."""

import asyncio
import struct
from random import Random, SystemRandom

import msgspec
import pytest
from strangers import channel_to, connected_to, read_to_the_end, relay
from tcp_nodes import CLUSTER, QUICK, SECRET, Node, introduce, run_real, running, until

from tidings.errors import InvalidRequest
from tidings.peers import PeerAddress, PeerSettings, TcpPeers
from tidings.peers.channel import Kind
from tidings.peers.handshake import Hello
from tidings.peers.settings import HANDSHAKES_MAX, SECRET_BYTES_MIN
from tidings.ports import MESSAGE_BYTES_MAX

NONCE = bytes(32)
OTHER_SECRET = b"another secret, as long as the one"


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def hello(
    version: int = 1, cluster: str = CLUSTER, name: str = "n0", nonce: bytes = NONCE
) -> bytes:
    return frame(msgspec.msgpack.encode(Hello(version, cluster, name, nonce)))


HOSTILE = {
    "nothing of ours": b"GET / HTTP/1.1\r\nHost: tidings\r\n\r\n",
    "noise": Random("noise").randbytes(5000),
    "a frame too long to be a hello": struct.pack(">I", 2**32 - 1),
    "an empty frame": frame(b""),
    "no MessagePack": frame(b"\xc1"),
    "nested too deeply": frame(b"\x91" * 2000),
    "bytes that are no text": frame(b"\x94\x01\xa1\xff\xa1a\xa1b"),
    "another version": hello(version=2),
    "another cluster": hello(cluster="another"),
    "a node without a name": hello(name=""),
    "a name that is too long": hello(name="n" * 201),
    "a nonce that is too short": hello(nonce=b"short"),
    "a name that should be connected to": hello(name="n2"),
    "the node's own name": hello(name="n1"),
    "a wrong proof": hello() + frame(bytes(32)),
    "a proof of no length": hello() + frame(b""),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_tcp_hostile_bytes_are_refused_and_others_served(what: str) -> None:
    async def scene() -> None:
        first, second = Node("n0"), Node("n1")
        async with running(first, second):
            introduce(first, second)
            async with connected_to(second.address) as (reader, writer):
                writer.write(HOSTILE[what])
                try:
                    while await reader.read(1000):
                        pass
                except ConnectionResetError:
                    pass
            first.peers.send("n1", b"after that")
            await until(lambda: second.received)
        assert second.received == [("n0", b"after that")]

    run_real(scene())


def test_tcp_node_with_another_secret_hears_nothing_and_is_not_heard() -> None:
    async def scene() -> None:
        node, other = Node("n1"), Node("n0", secret=OTHER_SECRET)
        async with running(node, other):
            introduce(node, other)
            node.peers.send("n0", b"to a friend")
            other.peers.send("n1", b"from a stranger")
            await until(lambda: node.peers.refused >= 3)
            assert node.peers.connected() == other.peers.connected() == []
        assert node.received == other.received == []

    run_real(scene())


def test_tcp_acceptor_gives_no_proof_to_who_has_another_secret() -> None:
    async def scene() -> None:
        node = Node("n1")
        async with running(node):
            with pytest.raises((EOFError, ConnectionResetError)):
                async with channel_to(node.address, "n1", secret=OTHER_SECRET):
                    pass

    run_real(scene())


def test_tcp_dialer_believes_nobody_without_the_secret() -> None:
    """An acceptor that knows the protocol and sends the dialer's own proof back."""

    async def scene() -> None:
        node = Node("n0")
        tried = asyncio.Event()

        async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readexactly(4)
            await reader.readexactly(struct.unpack(">I", head)[0])
            writer.write(hello(name="n1"))
            writer.write(await reader.readexactly(4 + 32))
            assert await reader.read(1) == b""
            writer.transport.abort()
            tried.set()

        server = await asyncio.start_server(mirror, "127.0.0.1", 0)
        async with server, running(node):
            node.peers.tell({"n1": PeerAddress(*server.sockets[0].getsockname()[:2])})
            node.peers.send("n1", b"for n1 alone")
            await tried.wait()
            assert node.peers.connected() == []

    run_real(scene())


def test_tcp_nodes_of_different_clusters_refuse_each_other() -> None:
    """Even with the same secret: they would fold each other's entries."""

    async def scene() -> None:
        node, other = Node("n1"), Node("n0", cluster="another")
        async with running(node, other):
            introduce(node, other)
            other.peers.send("n1", b"of another journal")
            await until(lambda: node.peers.refused >= 2 or node.received)
        assert node.received == []

    run_real(scene())


def test_tcp_address_that_another_node_took_over_gets_nothing() -> None:
    async def scene() -> None:
        first, third = Node("n0"), Node("n2")
        async with running(first, third):
            first.peers.tell({"n1": third.address})
            first.peers.send("n1", b"for n1")
            await until(lambda: third.peers.refused >= 2 or third.received)
        assert third.received == []

    run_real(scene())


def test_tcp_frame_that_is_too_long_ends_its_connection_alone() -> None:
    async def scene() -> None:
        node = Node("n2")
        async with (
            running(node),
            channel_to(node.address, "n2", name="n0") as bad,
            channel_to(node.address, "n2", name="n1") as good,
        ):
            bad.write(Kind.MESSAGE, bytes(MESSAGE_BYTES_MAX + 1))
            with pytest.raises((EOFError, ConnectionResetError)):
                await bad.read()
            good.write(Kind.MESSAGE, b"still here")
            await until(lambda: node.received)
        assert node.received == [("n1", b"still here")]

    run_real(scene())


def test_tcp_frame_of_an_unknown_kind_ends_the_connection() -> None:
    async def scene() -> None:
        node = Node("n1")
        async with running(node), channel_to(node.address, "n1") as channel:
            channel.write(7, b"")
            with pytest.raises((EOFError, ConnectionResetError)):
                await channel.read()

    run_real(scene())


def test_tcp_message_that_is_altered_on_its_way_is_not_delivered() -> None:
    def alter(data: bytes) -> bytes:
        return data.replace(b"pay 10", b"pay 99")

    async def scene() -> None:
        node = Node("n1")
        async with (
            running(node),
            relay(node.address, alter) as address,
            channel_to(address, "n1") as channel,
        ):
            channel.write(Kind.MESSAGE, b"as it is")
            channel.write(Kind.MESSAGE, b"pay 10")
            with pytest.raises((EOFError, ConnectionResetError)):
                await channel.read()
        assert node.received == [("n0", b"as it is")]

    run_real(scene())


def test_tcp_frame_that_is_sent_again_is_not_delivered_again() -> None:
    def twice(data: bytes) -> bytes:
        return data * 2 if b"once" in data else data

    async def scene() -> None:
        node = Node("n1")
        async with (
            running(node),
            relay(node.address, twice) as address,
            channel_to(address, "n1") as channel,
        ):
            channel.write(Kind.MESSAGE, b"once")
            with pytest.raises((EOFError, ConnectionResetError)):
                await channel.read()
        assert node.received == [("n0", b"once")]

    run_real(scene())


def test_tcp_peer_that_never_reads_costs_a_bounded_amount() -> None:
    """It is sent what fits the sockets; the rest waits, up to a bound, and others are served."""

    async def scene() -> None:
        node, other = Node("n1"), Node("n2")
        async with running(node, other), channel_to(node.address, "n1"):
            node.peers.tell({"n0": node.address, "n2": other.address})
            await until(lambda: node.peers.connected() == ["n0", "n2"])
            for number in range(40):
                node.peers.send("n0", bytes(MESSAGE_BYTES_MAX))
                node.peers.send("n2", b"%d" % number)
                await asyncio.sleep(0)
            await until(lambda: len(other.received) == 40)
            assert node.peers.dropped("n0") >= 20
            assert node.peers.dropped("n2") == 0

    run_real(scene())


def test_tcp_peer_that_falls_silent_is_given_up() -> None:
    async def scene() -> None:
        settings = PeerSettings(beat_interval_s=0.01, silence_s_max=0.05)
        node = Node("n1", settings=settings)
        async with running(node), channel_to(node.address, "n1") as channel:
            assert await channel.read() == (Kind.BEAT, b"")
            await read_to_the_end(channel)

    run_real(scene())


def test_tcp_who_never_shakes_hands_is_given_up() -> None:
    async def scene() -> None:
        node = Node("n1", settings=PeerSettings(handshake_s=0.05))
        async with running(node), connected_to(node.address) as (reader, _):
            assert await reader.read() == b""

    run_real(scene())


def test_tcp_more_handshakes_than_allowed_are_closed_unheard() -> None:
    async def scene() -> None:
        node = Node("n1", settings=QUICK)
        async with running(node), asyncio.TaskGroup() as tasks:
            enough = asyncio.Event()

            async def wait() -> None:
                async with connected_to(node.address):
                    await enough.wait()

            for _ in range(HANDSHAKES_MAX):
                tasks.create_task(wait())
            await until(lambda: node.peers.guests == HANDSHAKES_MAX)
            async with connected_to(node.address) as (reader, _):
                with pytest.raises((ConnectionResetError, EOFError)):
                    await reader.readexactly(1)
            enough.set()
            await until(lambda: node.peers.guests == 0)
            async with channel_to(node.address, "n1"):
                pass

    run_real(scene())


def test_tcp_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="openssl rand"):
        TcpPeers("n0", cluster=CLUSTER, secret=SECRET[: SECRET_BYTES_MIN - 1], rng=SystemRandom())
