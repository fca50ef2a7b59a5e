"""What all brokers of a cluster have in common: its id, and a secret to know each other by.

Both stand in one cell of the order store, written once. Who may read that store may also write the
journal, so that the secret keeps nobody out who could not do worse; brokers that are to know each
other by another one are told it.
"""

import base64
from random import Random

import msgspec

from tidings.errors import Corrupt, Indeterminate
from tidings.ports import OrderStore

CELL = "cluster"
"""The name of the cell."""

CLUSTER_ID_BYTES = 16
SECRET_BYTES = 32


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """What the cell holds. Fields may be added at the end, with defaults."""

    cluster_id: str
    """22 characters, as Kafka's: 16 random bytes in base64 for URLs."""
    secret: bytes

    def __repr__(self) -> str:
        """Keep the secret out of logs."""
        return f"Identity({self.cluster_id!r})"


async def read_or_make_identity(order: OrderStore, rng: Random) -> Identity:
    """Return the identity of the cluster on this order store; `rng` must be hard to guess.

    Raises:
        Unavailable: The order store gave no answer.
        Corrupt: The cell holds something else.
    """
    while True:
        cell = await order.read_cell(CELL)
        if cell is not None:
            return _decode(cell)
        cluster_id = base64.urlsafe_b64encode(rng.randbytes(CLUSTER_ID_BYTES)).decode().rstrip("=")
        made = Identity(cluster_id, rng.randbytes(SECRET_BYTES))
        try:
            await order.swap_cell(CELL, None, msgspec.msgpack.encode(made))
        except Indeterminate:
            # What it holds in the end counts, whoever wrote it.
            continue


def _decode(cell: bytes) -> Identity:
    try:
        return msgspec.msgpack.decode(cell, type=Identity)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"the cell {CELL} holds no identity of a cluster: {error}") from error
