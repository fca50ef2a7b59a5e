"""What every way between nodes must do, whether it loses messages or not."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tidings.ports import MESSAGE_BYTES_MAX, Peers
from tidings.testing.contract.check import Check, Make, Trial, named, require, require_equal

MESSAGES = 30
"""How many messages go each way."""

SIZE_MAX = 2000

ARRIVAL_S_MAX = 2.0
"""How long a message may take; over a link that may lose some, so long is waited for all."""

TICK_S = 0.01

AFTERWARDS_S = 0.1
"""What should not arrive at all gets this much longer to do so."""


class PeersPromise(StrEnum):
    """Sentences of `tidings.ports.Peers`."""

    THIS = "This node."
    ALL = "Every node that may exist, this one included."
    UNALTERED = "Messages may be lost, delayed, doubled and reordered; never altered."
    TARGET = "It arrives whole at that node and no other, with the name of this one, or not at all."
    NOBODY = "that is none of `node_ids`, it is lost, and nothing is raised."
    AWAY = "it is lost, and nothing is raised."
    NO_LOSS = "A link that loses nothing delivers everything."


@dataclass(frozen=True, slots=True)
class PeersNode:
    """One node of a network that is tried."""

    peers: Peers
    stop: Callable[[], None]
    """Takes the node away, as a crash does."""
    received: list[tuple[str, bytes]] = field(default_factory=list)
    """What arrived, with its sender; the network adds to it."""


PeersTrial = Trial[PeersNode]


class Mail:
    """What was sent between the nodes of a trial, and whether what arrives fits it."""

    def __init__(self, trial: PeersTrial) -> None:
        self._nodes = {node.peers.node_id: node for node in trial.clients}
        self._sent: dict[tuple[str, str, bytes], None] = {}

    def send(self, source: str, target: str, message: bytes) -> None:
        """Send, and remember it."""
        self._sent[source, target, message] = None
        self._nodes[source].peers.send(target, message)

    async def wait(self) -> None:
        """Wait until everything has arrived, or could have, and a little longer."""
        for _ in range(round(ARRIVAL_S_MAX / TICK_S)):
            if not self.missing():
                break
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(AFTERWARDS_S)

    def missing(self) -> list[tuple[str, str, bytes]]:
        """Return what has not arrived."""
        arrived = dict.fromkeys(
            (source, target, message)
            for target, node in self._nodes.items()
            for source, message in node.received
        )
        return [letter for letter in self._sent if letter not in arrived]

    def require_only_what_was_sent(self) -> None:
        """Demand that all that arrived was sent so, from there, to there."""
        messages = dict.fromkeys(message for _, _, message in self._sent)
        for target, node in self._nodes.items():
            for source, message in node.received:
                what = f"{target} got {message[:20]!r}… ({len(message)} bytes) from {source}"
                require(
                    condition=message in messages,
                    promise=PeersPromise.UNALTERED,
                    found=f"{what}, which nobody sent",
                )
                require(
                    condition=(source, target, message) in self._sent,
                    promise=PeersPromise.TARGET,
                    found=f"{what}, which was sent by another or to another",
                )


async def nodes_know_each_other(trial: PeersTrial) -> None:
    """Each has a name of its own, and all have the same list."""
    names = [node.peers.node_id for node in trial.clients]
    require_equal(len(dict.fromkeys(names)), len(names), PeersPromise.THIS, of="counting names")
    for node in trial.clients:
        found = sorted(node.peers.node_ids)
        require_equal(
            found, sorted(names), PeersPromise.ALL, of=f"node_ids of {node.peers.node_id}"
        )


async def messages_arrive_as_they_were_sent(trial: PeersTrial) -> None:
    """Whatever is lost: what arrives is unaltered, at the right node, from the right one."""
    mail = Mail(trial)
    _send_to_each_other(trial, mail)
    await mail.wait()
    mail.require_only_what_was_sent()


async def largest_message_is_whole_or_lost(trial: PeersTrial) -> None:
    """No message is cut, also none that is longer than it may be."""
    mail = Mail(trial)
    source, target, *_ = (node.peers.node_id for node in trial.clients)
    rng = trial.random("message")
    for size in (MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1):
        mail.send(source, target, rng.randbytes(size))
    await mail.wait()
    mail.require_only_what_was_sent()


async def message_to_nobody_is_lost(trial: PeersTrial) -> None:
    """Names that no node has are no error, and whatever else is sent is not disturbed."""
    mail = Mail(trial)
    for name in ("nobody", "", "n 99", "ü"):
        _send_safely(trial.clients[0], name, PeersPromise.NOBODY)
    _send_to_each_other(trial, mail)
    await mail.wait()
    mail.require_only_what_was_sent()


async def message_to_a_node_that_is_away_is_lost(trial: PeersTrial) -> None:
    """The others talk on; what was on its way may still arrive."""
    first, second, away = trial.clients
    mail = Mail(Trial([first, second], trial.seed))
    away.stop()
    for _ in range(MESSAGES):
        _send_safely(first, away.peers.node_id, PeersPromise.AWAY)
        mail.send(first.peers.node_id, second.peers.node_id, b"still here")
    await mail.wait()
    mail.require_only_what_was_sent()
    require_equal(away.received, [], PeersPromise.AWAY, of="the node that is away")


async def everything_arrives(trial: PeersTrial) -> None:
    """Where no message is lost, each arrives: the empty one, the largest one, all of a burst."""
    mail = Mail(trial)
    _send_to_each_other(trial, mail)
    largest = trial.random("largest").randbytes(MESSAGE_BYTES_MAX)
    first, second, *_ = (node.peers.node_id for node in trial.clients)
    mail.send(first, second, largest)
    mail.send(second, first, b"")
    await mail.wait()
    missing = [
        f"{message!r:.40} ({len(message)} bytes) from {source} to {target}"
        for source, target, message in mail.missing()
    ]
    require_equal(missing, [], PeersPromise.NO_LOSS, of=f"waiting {ARRIVAL_S_MAX:g} s for messages")


def _send_to_each_other(trial: PeersTrial, mail: Mail) -> None:
    rng = trial.random("messages")
    names = [node.peers.node_id for node in trial.clients]
    for number in range(MESSAGES):
        for source in names:
            for target in names:
                if source != target:
                    mail.send(source, target, _message(rng, f"{source} {target} {number} "))


def _message(rng: Random, beginning: str) -> bytes:
    """Return bytes of any kind that no other message has."""
    return beginning.encode() + rng.randbytes(rng.randrange(SIZE_MAX))


def _send_safely(node: PeersNode, target: str, promise: str) -> None:
    try:
        node.peers.send(target, b"anybody there?")
    except Exception as error:  # noqa: BLE001 -- that nothing is raised is what is tried
        require(condition=False, promise=promise, found=f"send({target!r}) raised {error!r}")


def peers_checks(*, is_lossless: bool) -> dict[str, Check[PeersNode]]:
    """Return every check of the way between nodes by its name.

    With `is_lossless` also that everything arrives.
    """
    checks = named(
        nodes_know_each_other,
        messages_arrive_as_they_were_sent,
        largest_message_is_whole_or_lost,
        message_to_nobody_is_lost,
        message_to_a_node_that_is_away_is_lost,
    )
    return checks | named(everything_arrives) if is_lossless else checks


async def check_peers(make: Make[PeersNode], seed: int = 0, *, is_lossless: bool) -> None:
    """Run every check, each on a network of its own.

    Raises:
        ContractError: The contract is broken.
    """
    for check in peers_checks(is_lossless=is_lossless).values():
        await check(make, seed)
