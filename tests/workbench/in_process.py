"""Nodes that are functions, for runs without processes on virtual time."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tidings.workbench.cluster import Cluster, NodeState
from tidings.workbench.network import Latency, Message, Network
from tidings.workbench.services import Body, Service
from tidings.workbench.settings import LatencyDistribution, Settings

Handler = Callable[[Body], Body | None]
"""Takes a request's body and returns the reply's, or nothing to stay silent."""


def make_settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {"command": ("unused",), "store": Path("unused"), **changes}
    return Settings(**values)


def make_network(
    *, latency_ms: float = 0.0, services: Mapping[str, Service] | None = None
) -> Network:
    return Network(
        services=services or {},
        latency=Latency(Random(0), LatencyDistribution.CONSTANT, latency_ms),
        rng=Random(0),
        call_later=asyncio.get_running_loop().call_later,
    )


class FakeNode:
    """Answers each request with what a handler returns; keeps the requests."""

    def __init__(self, network: Network, node_id: str, handler: Handler) -> None:
        self.requests: list[Body] = []
        self._network = network
        self._node_id = node_id
        self._handler = handler
        network.attach_node(node_id, self.receive)

    def receive(self, message: Message) -> None:
        asyncio.get_running_loop().call_soon(self._answer, message)

    def reply(self, client: str, body: Body) -> None:
        raw = msgspec.Raw(msgspec.json.encode(body))
        self._network.send(Message(self._node_id, client, raw))

    def _answer(self, message: Message) -> None:
        request = msgspec.json.decode(message.body)
        self.requests.append(request)
        body = self._handler(request)
        if body is not None:
            self.reply(message.src, {**body, "in_reply_to": request["msg_id"]})


class Log:
    """A correct log in memory, shared by all nodes that are given its `handle`."""

    def __init__(self) -> None:
        self.messages: dict[str, list[Any]] = {}
        self.committed: dict[str, int] = {}

    def handle(self, body: Body) -> Body:
        match body["type"]:
            case "send":
                log = self.messages.setdefault(body["key"], [])
                log.append(body["msg"])
                return {"type": "send_ok", "offset": len(log) - 1}
            case "poll":
                return {
                    "type": "poll_ok",
                    "msgs": {
                        key: list(enumerate(self.messages.get(key, [])))[offset:]
                        for key, offset in body["offsets"].items()
                    },
                }
            case "commit_offsets":
                self.committed.update(body["offsets"])
                return {"type": "commit_offsets_ok"}
            case "list_committed_offsets":
                known = {k: self.committed[k] for k in body["keys"] if k in self.committed}
                return {"type": "list_committed_offsets_ok", "offsets": known}
            case kind:
                raise AssertionError(kind)


class FakeCluster(Cluster):
    """A cluster whose nodes are functions; one that is down hears nothing, and none pauses."""

    def __init__(
        self, settings: Settings, network: Network, make_handler: Callable[[str], Handler]
    ) -> None:
        super().__init__(settings, network, None)
        self._make_handler = make_handler

    async def start(self) -> None:
        for node_id in self.in_state(NodeState.DOWN):
            FakeNode(self._network, node_id, self._make_handler(node_id))
            self.states[node_id] = NodeState.RUNNING

    async def kill(self, node_id: str) -> None:
        self.states[node_id] = NodeState.DOWN
        self._network.detach_node(node_id)

    def pause(self, node_id: str) -> None:
        self.states[node_id] = NodeState.PAUSED

    def resume(self, node_id: str) -> None:
        self.states[node_id] = NodeState.RUNNING
