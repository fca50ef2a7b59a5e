"""A group as it is stored: enough to go on after a restart as if nothing had happened.

Stored in the journal through `SaveGroup`, framed as `core/documents.py` says, kind G.
"""

import msgspec

from tidings.core import documents


class Protocol(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A way to assign partitions that a member knows, with what it says of itself."""

    name: str
    metadata: bytes


class MemberDocument(msgspec.Struct, frozen=True, array_like=True):
    """One member; `assignment` is empty until the leader has given it."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: list[Protocol]
    assignment: bytes


class GroupDocument(msgspec.Struct, frozen=True, array_like=True):
    """One generation of a group; with no members it is empty."""

    generation: int
    protocol_type: str
    protocol: str | None
    leader: str | None
    is_assigned: bool
    """Whether the leader has given out the assignments of this generation."""
    members: list[MemberDocument]
    """In the order in which they joined."""
    saved_ms: int = 0
    """Wall clock when it was saved: of a group without members, since when it has none."""


_decoder = msgspec.msgpack.Decoder(GroupDocument)


def encode_group(document: GroupDocument) -> bytes:
    """Return the bytes to store."""
    return documents.encode(documents.Kind.GROUP, document)


def decode_group(data: bytes) -> GroupDocument:
    """Return the stored group; raise `Corrupt` if the bytes are not one."""
    return documents.decode(documents.Kind.GROUP, data, _decoder)
