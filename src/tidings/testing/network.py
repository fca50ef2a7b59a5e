"""The network of a simulated run: between nodes, to the services, and to clients.

Between nodes, messages are delayed, lost, doubled, reordered and cut off. A call to a service is
carried out at most once, some time or never. Clients sit beside their nodes: what they say arrives
at once, unless the node is down or paused.
"""

import asyncio
from collections.abc import Callable

import msgspec

from tidings.testing.life import Answer, Life
from tidings.testing.trace import Trace
from tidings.testing.watched_service import WatchedService
from tidings.testing.weather import Weather
from tidings.types import Json
from tidings.workbench.network import Message

_decode_message = msgspec.json.Decoder(Message).decode
_decode_body = msgspec.json.Decoder(dict[str, Json]).decode
_encode = msgspec.json.Encoder().encode


class SimNetwork:
    """Carries messages between the lives of nodes, services and clients."""

    def __init__(self, services: dict[str, WatchedService], weather: Weather, trace: Trace) -> None:
        self._services = services
        self._weather = weather
        self._trace = trace
        self._lives: dict[str, Life] = {}
        self._clients: dict[str, Callable[[Message], None] | None] = {}
        # Pairs (source, receiver) between which nothing arrives.
        self.cut: dict[tuple[str, str], None] = {}

    def attach(self, life: Life) -> None:
        """Let a new life receive what is sent to its node from now on."""
        self._lives[life.node_id] = life

    # Clients ------------------------------------------------------------------------------------

    def attach_client(self, endpoint: Callable[[Message], None]) -> str:
        """See `tidings.workbench.client.Carrier`."""
        name = f"c{len(self._clients)}"
        self._clients[name] = endpoint
        return name

    def detach_client(self, name: str) -> None:
        """See `tidings.workbench.client.Carrier`."""
        self._clients[name] = None

    def send(self, message: Message) -> None:
        """Carry what a client says to a node."""
        life = self._lives[message.dest]
        line = _encode(message)
        asyncio.get_running_loop().call_soon(self._reach, life, line)

    def _reach(self, life: Life, line: bytes) -> None:
        if life.is_over:
            self._trace.count("message-to-the-dead")
            return
        life.gate.pass_through(lambda: None if life.is_over else life.node.receive(line))

    # Nodes --------------------------------------------------------------------------------------

    def take_line(self, life: Life, line: bytes) -> None:
        """Take what a node wrote."""
        if life.is_over:
            return
        message = _decode_message(line)
        destination = message.dest
        if destination in self._services:
            self._call_service(life, destination, _decode_body(message.body))
        elif destination in self._lives:
            life.gate.pass_through(lambda: self._send_to_node(life.node_id, destination, line))
        else:
            life.gate.pass_through(lambda: self._tell_client(destination, message))

    def _tell_client(self, name: str, message: Message) -> None:
        endpoint = self._clients[name]
        if endpoint is not None:
            endpoint(message)

    def _send_to_node(self, source: str, destination: str, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        receiver = self._lives[destination]
        for delay_s in self._weather.message_delays_s():
            self._weather.note_arrival(loop.time() + delay_s)
            loop.call_later(delay_s, self._arrive, source, receiver, line)

    def _arrive(self, source: str, receiver: Life, line: bytes) -> None:
        if (source, receiver.node_id) in self.cut:
            self._trace.count("message-cut-off")
        else:
            self._reach(receiver, line)

    # Services -----------------------------------------------------------------------------------

    def _call_service(self, life: Life, name: str, request: dict[str, Json]) -> None:
        service = self._services[name]
        is_append = name == "lin-kv" and request["type"] == "cas"

        def carry_out() -> Answer:
            reply = service.handle(life.node_id, request)
            if self._trace.is_kept:
                what = f"{name} {request['type']}"
                self._trace.add(life.node_id, what, f"{request['key']} {reply['type']}")
            body = {**reply, "in_reply_to": request["msg_id"]}
            line = _encode({"src": name, "dest": life.node_id, "body": body})
            return lambda: life.node.receive(line)

        life.call_store("append" if is_append else "call", carry_out)
