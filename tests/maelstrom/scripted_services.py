"""A design's network without a node: calls go straight to the workbench's services."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum, auto
from random import Random

from tidings.errors import Indeterminate
from tidings.maelstrom.design import Body, Design
from tidings.stores.maelstrom_kv import CallFailed
from tidings.workbench.services import LinKV, SeqKV, Service


class Loss(Enum):
    """What becomes of one call."""

    NOTHING = auto()
    REQUEST = auto()
    REPLY = auto()


Lose = Callable[[str, Body], Loss]
"""Decides on a call to a service, by the service's name and the request."""


def lose_nothing(service: str, body: Body) -> Loss:
    """Let every call through."""
    del service, body
    return Loss.NOTHING


class Services:
    """lin-kv and seq-kv, shared by the networks of all nodes of a test."""

    def __init__(self, seed: int = 0) -> None:
        self._services: dict[str, Service] = {
            "lin-kv": LinKV(),
            "seq-kv": SeqKV(Random(f"{seed}/seq-kv")),
        }
        self.networks: dict[str, ScriptedNetwork] = {}
        self._look_count = 0

    def ask(self, client: str, service: str, body: Body) -> Body:
        """Return the reply of a service; tests use it to look and to meddle."""
        return self._services[service].handle(client, body)

    def put(self, service: str, key: str, value: object) -> None:
        """Write as somebody else."""
        self.ask("meddler", service, {"type": "write", "key": key, "value": value})

    def value(self, service: str, key: str) -> object:
        """Return what the newest state holds, or None."""
        self._look_count += 1
        self.put(service, "look", self._look_count)
        return self.ask("meddler", service, {"type": "read", "key": key}).get("value")


class ScriptedNetwork:
    """The `Network` of one node. Nothing is lost unless `lose` says so."""

    def __init__(
        self, services: Services, node_id: str = "n0", node_ids: tuple[str, ...] = ("n0",)
    ) -> None:
        self.node_id = node_id
        self.node_ids: Sequence[str] = node_ids
        self._services = services
        self.lose: Lose = lose_nothing
        self.latency_s = 0.01
        self.calls: list[tuple[str, Body]] = []
        self.sent: list[tuple[str, Body]] = []
        self.hears_peers = True
        self.design: Design | None = None
        services.networks[node_id] = self

    async def call(self, destination: str, body: Body, *, timeout_s: float) -> Body:
        self.calls.append((destination, body))
        loss = self.lose(destination, body)
        await asyncio.sleep(self.latency_s)
        if loss is not Loss.REQUEST:
            reply = self._services.ask(self.node_id, destination, body)
            await asyncio.sleep(self.latency_s)
            if loss is not Loss.REPLY:
                if reply["type"] == "error":
                    raise CallFailed(reply["code"], reply["text"])
                return reply
        await asyncio.sleep(timeout_s)
        raise Indeterminate(f"{destination} did not answer")

    def send(self, destination: str, body: Body) -> None:
        self.sent.append((destination, body))
        receiver = self._services.networks.get(destination)
        if receiver is not None and receiver.design is not None and receiver.hears_peers:
            receiver.design.handle_message(self.node_id, body)


def is_first(service: str, type_: str, loss: Loss) -> Lose:
    """Lose the first call of that type to that service."""
    seen: list[Body] = []

    def lose(destination: str, body: Body) -> Loss:
        if destination == service and body["type"] == type_ and not seen:
            seen.append(body)
            return loss
        return Loss.NOTHING

    return lose
