"""How two nodes show each other that they know the secret, before either believes anything.

Who connects is the *dialer*, the other one the *acceptor*. Four frames, each a length in four bytes
(big-endian, this field not counted) and that many bytes:

    dialer    → hello     MessagePack array: version, cluster, node id, nonce (32 random bytes)
    acceptor  → hello     its own
    dialer    → proof     HMAC-SHA-256(secret, "tidings dialer proof" + both frames of hello)
    acceptor  → proof     HMAC-SHA-256(secret, "tidings acceptor proof" + both frames of hello)

The dialer proves first, so that who only connects learns nothing from which secrets could be tried.
Each side has chosen a part of what is proved, so no proof can be used twice; each proof says whose
it is, so none can be sent back. The cluster is told since its nodes fold each other's entries: an
address that another cluster took over must not be talked to, even if both have the same secret.

Afterwards each direction has a key of its own (`Keys`); `channel.py` goes on.
"""

import hmac
import struct
from asyncio import StreamReader, StreamWriter
from dataclasses import dataclass
from enum import StrEnum
from random import Random

import msgspec

from tidings.peers.settings import HANDSHAKE_FRAME_BYTES_MAX, NODE_ID_CHARACTERS_MAX

VERSION = 1
"""Nodes of different versions refuse each other, and learn everything from the stores."""

NONCE_BYTES = 32

_SIZE = struct.Struct(">I")


class Refused(Exception):
    """The other side does not keep to the protocol, or may not take part; the text says why."""


class Role(StrEnum):
    """The sides of a connection."""

    DIALER = "dialer"
    ACCEPTOR = "acceptor"


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Who somebody says they are. Later versions may add fields at the end."""

    version: int
    cluster: str
    node_id: str
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node shows of itself."""

    cluster: str
    """Only nodes of the same cluster talk to each other."""

    node_id: str

    secret: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """What the frames of one connection are sealed with."""

    outgoing: bytes
    incoming: bytes


async def dial(
    reader: StreamReader, writer: StreamWriter, identity: Identity, target: str, rng: Random
) -> Keys:
    """Shake hands with the node `target` that was connected to.

    `rng` must be as hard to guess as a secret: `random.SystemRandom`.

    Raises:
        Refused: It is another node, or none.
        EOFError: It closed the connection, as those do that refuse us.
        OSError: The connection broke.
    """
    own = _hello_frame(identity, rng)
    writer.write(own)
    theirs = await _read_frame(reader)
    hello = _check_hello(theirs, identity)
    if hello.node_id != target:
        raise Refused(f"this is {hello.node_id}, not {target}")
    transcript = own + theirs
    writer.write(_frame(_proof(identity.secret, Role.DIALER, transcript)))
    await _check_proof(reader, identity.secret, Role.ACCEPTOR, transcript)
    return _keys(identity.secret, Role.DIALER, transcript)


async def accept(
    reader: StreamReader, writer: StreamWriter, identity: Identity, rng: Random
) -> tuple[str, Keys]:
    """Shake hands with who connected; return the node that it is.

    Raises:
        Refused: It is no node of this cluster, or one that should be connected to by this one.
        EOFError: It closed the connection.
        OSError: The connection broke.
    """
    theirs = await _read_frame(reader)
    hello = _check_hello(theirs, identity)
    if not dials(hello.node_id, identity.node_id):
        raise Refused(f"{identity.node_id} waits for no connection from {hello.node_id}")
    own = _hello_frame(identity, rng)
    writer.write(own)
    transcript = theirs + own
    await _check_proof(reader, identity.secret, Role.DIALER, transcript)
    writer.write(_frame(_proof(identity.secret, Role.ACCEPTOR, transcript)))
    return hello.node_id, _keys(identity.secret, Role.ACCEPTOR, transcript)


def dials(one: str, other: str) -> bool:
    """Return whether, of these two nodes, the first connects to the second: the smaller name."""
    return one < other


def _hello_frame(identity: Identity, rng: Random) -> bytes:
    nonce = rng.randbytes(NONCE_BYTES)
    return _frame(msgspec.msgpack.encode(Hello(VERSION, identity.cluster, identity.node_id, nonce)))


def _frame(body: bytes) -> bytes:
    return _SIZE.pack(len(body)) + body


async def _read_frame(reader: StreamReader) -> bytes:
    """Return a frame with its length."""
    head = await reader.readexactly(_SIZE.size)
    (size_bytes,) = _SIZE.unpack(head)
    if size_bytes > HANDSHAKE_FRAME_BYTES_MAX:
        raise Refused("this is no node: its first bytes are of another protocol")
    return head + await reader.readexactly(size_bytes)


def _check_hello(frame: bytes, identity: Identity) -> Hello:
    try:
        hello = msgspec.msgpack.decode(frame[_SIZE.size :], type=Hello)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("this is no node: it does not say hello") from error
    if hello.version != VERSION:
        raise Refused(f"it speaks version {hello.version} and this node {VERSION}")
    if hello.cluster != identity.cluster:
        raise Refused("it is of another cluster")
    if len(hello.nonce) != NONCE_BYTES or not 0 < len(hello.node_id) <= NODE_ID_CHARACTERS_MAX:
        raise Refused("its hello makes no sense")
    return hello


async def _check_proof(reader: StreamReader, secret: bytes, role: Role, transcript: bytes) -> None:
    frame = await _read_frame(reader)
    if not hmac.compare_digest(frame[_SIZE.size :], _proof(secret, role, transcript)):
        raise Refused("it does not know the secret of this cluster")


def _proof(secret: bytes, role: Role, transcript: bytes) -> bytes:
    return hmac.digest(secret, f"tidings {role} proof".encode() + transcript, "sha256")


def _keys(secret: bytes, role: Role, transcript: bytes) -> Keys:
    def key(sender: Role) -> bytes:
        return hmac.digest(secret, f"tidings {sender} key".encode() + transcript, "sha256")

    other = Role.ACCEPTOR if role is Role.DIALER else Role.DIALER
    return Keys(outgoing=key(role), incoming=key(other))
