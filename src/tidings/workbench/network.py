"""The network between nodes, services and clients.

It delays, reorders, drops and counts messages, as Maelstrom's does:

- Latency applies to messages between nodes and services, never to a client's.
- A partition makes the receiver drop what comes from certain senders, also what was already
  under way. Services and clients are on nobody's other side.
- Loss, slowness and duplicates (`lose`, `slow`, `duplicate`) spare clients, too: an answer that a
  client never got says nothing about the log. Only messages between nodes come twice; a call to a
  service is one that a connection carries.
- A message is for the incarnation of a node that existed when it was sent: what is under way to a
  node that is killed is lost, and so are the replies of services to its requests.

It knows no processes and no clock: endpoints are functions, and delays are given to `call_later`.
A `Tap` is told of every message and of what became of it.

Source: Maelstrom's net.clj and net/checker.clj.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

import msgspec

from tidings.workbench.services import Body, LinKV, LinTSO, LwwKV, SeqKV, Service
from tidings.workbench.settings import LatencyDistribution

SLOW_LATENCY_MIN_S: Final = 0.01
"""What a slow network multiplies where there is hardly any latency."""
BETWEEN_NODES: Final = "nodes"
"""The name under which messages between nodes are counted; others count under their service."""

CallLater = Callable[..., object]
"""`asyncio.AbstractEventLoop.call_later`: a delay in seconds, a function, its arguments."""


class Message(msgspec.Struct, gc=False):
    """An envelope; the body stays as it was written."""

    src: str
    dest: str
    body: msgspec.Raw


Endpoint = Callable[[Message], None]
"""Takes a message that has arrived. One endpoint is one incarnation of a node."""


class UnknownDestination(Exception):
    """A message is addressed to nobody who ever existed."""


class Tap(Protocol):
    """Is told of every message, for whoever wants to read them later."""

    def sent(self, message: Message) -> int:
        """Take a message that is sent; return a number for it."""

    def arrived(self, number: int) -> None:
        """Learn that a message has reached its receiver."""

    def lost(self, number: int) -> None:
        """Learn that a message never will."""


class NoTap:
    """Lets all messages pass unread."""

    def sent(self, message: Message) -> int:
        """Do nothing."""
        del message
        return 0

    def arrived(self, number: int) -> None:
        """Do nothing."""

    def lost(self, number: int) -> None:
        """Do nothing."""


def default_services(seed: int) -> dict[str, Service]:
    """Return Maelstrom's services by name; their choices follow from `seed`."""
    return {
        "lin-kv": LinKV(),
        "seq-kv": SeqKV(Random(f"{seed}/seq-kv")),
        "lww-kv": LwwKV(Random(f"{seed}/lww-kv")),
        "lin-tso": LinTSO(),
    }


@dataclass(slots=True)
class Traffic:
    """Messages counted as they are sent."""

    clients: int = 0
    """Messages that a client sent or is to receive."""
    by_peer: dict[str, int] = field(default_factory=dict)
    """The others: those between nodes, and those to and from each service."""
    lost: int = 0
    """Messages that were sent and never arrived."""

    @property
    def servers(self) -> int:
        """How many messages involve no client."""
        return sum(self.by_peer.values())

    @property
    def total(self) -> int:
        """How many messages were sent."""
        return self.clients + self.servers


class Latency:
    """Draws the delay of one message."""

    def __init__(self, rng: Random, distribution: LatencyDistribution, mean_ms: float) -> None:
        self._rng = rng
        self._distribution = distribution
        self._mean_s = mean_ms / 1000
        self._factor = 1.0

    def slow(self, factor: float) -> None:
        """Multiply the mean, or `SLOW_LATENCY_MIN_S` if that is more; 1 is as fast as ever."""
        self._factor = factor

    def draw_s(self) -> float:
        """Return a delay in seconds; 0 when the mean is 0."""
        mean_s = self._mean_s
        if self._factor != 1:
            mean_s = max(mean_s, SLOW_LATENCY_MIN_S) * self._factor
        if not mean_s:
            return 0.0
        match self._distribution:
            case LatencyDistribution.CONSTANT:
                return mean_s
            case LatencyDistribution.UNIFORM:
                return self._rng.uniform(0, 2 * mean_s)
            case LatencyDistribution.EXPONENTIAL:
                return self._rng.expovariate(1 / mean_s)


class Network:
    """Carries messages between endpoints that are attached to it, and serves the services.

    Args:
        services: The services by name.
        latency: Draws the delays.
        rng: Decides which messages are lost or come twice.
        call_later: Where delays are spent.
        tap: Is told of every message.
    """

    def __init__(
        self,
        *,
        services: Mapping[str, Service],
        latency: Latency,
        rng: Random,
        call_later: CallLater,
        tap: Tap | None = None,
    ) -> None:
        self.traffic = Traffic(by_peer=dict.fromkeys((BETWEEN_NODES, *services), 0))
        self._services = services
        self._latency = latency
        self._rng = rng
        self._call_later = call_later
        self._tap = tap or NoTap()
        self._nodes: dict[str, Endpoint | None] = {}
        self._clients: dict[str, Endpoint | None] = {}
        # For each receiver the senders that it does not hear.
        self._unheard: dict[str, frozenset[str]] = {}
        self._loss = 0.0
        self._duplication = 0.0
        self._decode_body = msgspec.json.Decoder(Body).decode
        self._encode = msgspec.json.Encoder().encode

    def attach_node(self, node_id: str, endpoint: Endpoint) -> None:
        """Let `endpoint` receive what is sent to `node_id` from now on."""
        self._nodes[node_id] = endpoint

    def detach_node(self, node_id: str) -> None:
        """Lose what is sent, and what is under way, to `node_id`."""
        self._nodes[node_id] = None

    def attach_client(self, endpoint: Endpoint) -> str:
        """Give a new client its name and let `endpoint` receive what is sent to it."""
        name = f"c{len(self._clients)}"
        self._clients[name] = endpoint
        return name

    def detach_client(self, name: str) -> None:
        """Lose what is sent to the client `name`; the name is never used again."""
        self._clients[name] = None

    def partition(self, unheard: Mapping[str, Iterable[str]]) -> None:
        """Make each receiver in `unheard` drop all messages of the given senders."""
        self._unheard = {receiver: frozenset(senders) for receiver, senders in unheard.items()}

    def slow(self, factor: float) -> None:
        """Multiply latency; 1 undoes it."""
        self._latency.slow(factor)

    def lose(self, probability: float) -> None:
        """Lose that part of the messages that involve no client; 0 undoes it."""
        self._loss = probability

    def duplicate(self, probability: float) -> None:
        """Deliver that part of the messages between nodes twice; 0 undoes it."""
        self._duplication = probability

    def send(self, message: Message) -> None:
        """Send `message` on its way.

        Raises:
            UnknownDestination: There is no such node, service or client, and never was.
            msgspec.DecodeError: It is for a service and its body is not a JSON object.
        """
        destination = message.dest
        if destination in self._nodes:
            if message.src in self._nodes:
                self._send_between_nodes(message)
            else:
                self._send_for_client(message, self._nodes[destination])
        elif destination in self._services:
            self._send_to_service(message)
        elif destination in self._clients:
            self._send_for_client(message, self._clients[destination])
        else:
            raise UnknownDestination(destination)

    def _send_between_nodes(self, message: Message) -> None:
        endpoint = self._nodes[message.dest]
        self._send_to_node(message, BETWEEN_NODES, endpoint)
        if self._duplication and self._rng.random() < self._duplication:
            # The copy is the network's doing: it does not count as sent.
            self._carry(self._deliver, self._tap.sent(message), message, endpoint)

    def _send_to_node(self, message: Message, peer: str, endpoint: Endpoint | None) -> None:
        self.traffic.by_peer[peer] += 1
        self._carry(self._deliver, self._tap.sent(message), message, endpoint)

    def _send_to_service(self, message: Message) -> None:
        service = message.dest
        request = self._decode_body(message.body)
        self.traffic.by_peer[service] += 1
        requester = message.src, self._nodes.get(message.src)
        self._carry(self._serve, self._tap.sent(message), service, request, requester)

    def _send_for_client(self, message: Message, endpoint: Endpoint | None) -> None:
        self.traffic.clients += 1
        number = self._tap.sent(message)
        if endpoint is None:
            self._lose(number)
        else:
            self._tap.arrived(number)
            endpoint(message)

    def _carry(self, arrive: Callable[..., None], number: int, *arguments: object) -> None:
        if self._loss and self._rng.random() < self._loss:
            self._lose(number)
            return
        delay_s = self._latency.draw_s()
        if delay_s:
            self._call_later(delay_s, arrive, number, *arguments)
        else:
            arrive(number, *arguments)

    def _lose(self, number: int) -> None:
        self.traffic.lost += 1
        self._tap.lost(number)

    def _deliver(self, number: int, message: Message, endpoint: Endpoint | None) -> None:
        receiver = message.dest
        if (
            endpoint is None
            or self._nodes[receiver] is not endpoint
            or message.src in self._unheard.get(receiver, ())
        ):
            self._lose(number)
        else:
            self._tap.arrived(number)
            endpoint(message)

    def _serve(
        self, number: int, service: str, request: Body, requester: tuple[str, Endpoint | None]
    ) -> None:
        self._tap.arrived(number)
        name, endpoint = requester
        reply = self._services[service].handle(name, request)
        reply["in_reply_to"] = request.get("msg_id")
        answer = Message(service, name, msgspec.Raw(self._encode(reply)))
        self._send_to_node(answer, service, endpoint)
