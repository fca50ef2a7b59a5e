"""The nodes of a run: started, introduced to each other, killed, paused, restarted, ended."""

import asyncio
import signal
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final

from tidings.workbench.client import Connection, InitOk, RequestFailed
from tidings.workbench.network import Network
from tidings.workbench.processes import NodeFailed, NodeProcess, first_failure, start_process
from tidings.workbench.settings import INIT_TIMEOUT_S, Settings

LOGS: Final = "node-logs"
"""The directory inside the store that holds each node's stderr."""


class NodeState(Enum):
    """What a node is doing."""

    DOWN = auto()
    STARTING = auto()
    RUNNING = auto()
    PAUSED = auto()


class Cluster:
    """The nodes. Whatever happens, call `stop` in the end."""

    def __init__(
        self, settings: Settings, network: Network, echo: Callable[[str], None] | None
    ) -> None:
        self._settings = settings
        self._network = network
        self._echo = echo
        self._logs: dict[str, BinaryIO] = {}
        self._processes: dict[str, NodeProcess] = {}
        self._failure: asyncio.Future[NodeFailed] = asyncio.get_running_loop().create_future()
        self.states = dict.fromkeys(settings.node_ids, NodeState.DOWN)

    def in_state(self, *states: NodeState) -> list[str]:
        """Return the nodes that are in one of `states`, in their order."""
        return [node_id for node_id, state in self.states.items() if state in states]

    async def start(self) -> None:
        """Start every node that is down; return once each has answered its init.

        Raises:
            NodeFailed: One did not start, or did not answer in time.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for node_id in self.in_state(NodeState.DOWN):
                    group.create_task(self._start_node(node_id))
        except ExceptionGroup as failures:
            raise first_failure(failures) from None

    async def kill(self, node_id: str) -> None:
        """Let a node crash: it and what is under way to it are gone."""
        self.states[node_id] = NodeState.DOWN
        self._network.detach_node(node_id)
        await self._processes[node_id].kill()

    def pause(self, node_id: str) -> None:
        """Stop a node's clock; messages to it wait."""
        self.states[node_id] = NodeState.PAUSED
        self._processes[node_id].signal(signal.SIGSTOP)

    def resume(self, node_id: str) -> None:
        """Let a paused node go on."""
        self.states[node_id] = NodeState.RUNNING
        self._processes[node_id].signal(signal.SIGCONT)

    async def watch(self) -> None:
        """Wait for ever, or until a node fails.

        Raises:
            NodeFailed: A node exited by itself or printed garbage.
        """
        raise await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """End every process; return when all are gone."""
        try:
            async with asyncio.TaskGroup() as group:
                for process in self._processes.values():
                    group.create_task(process.stop())
        finally:
            for log in self._logs.values():
                log.close()

    async def _start_node(self, node_id: str) -> None:
        self.states[node_id] = NodeState.STARTING
        process = NodeProcess(
            node_id,
            send=self._network.send,
            fail=self._fail,
            log=self._log(node_id),
            echo=self._echo,
        )
        await start_process(process, self._settings.command)
        self._processes[node_id] = process
        self._network.attach_node(node_id, process.receive)
        await self._introduce(process)
        if self.states[node_id] is NodeState.STARTING:
            self.states[node_id] = NodeState.RUNNING

    async def _introduce(self, process: NodeProcess) -> None:
        """Send the init, which is the first that the node hears, and await its answer."""
        connection = Connection(self._network, process.node_id)
        body = {
            "type": "init",
            "node_id": process.node_id,
            "node_ids": list(self._settings.node_ids),
        }
        try:
            await connection.request(body, InitOk, timeout_s=INIT_TIMEOUT_S)
        except RequestFailed as failed:
            text = f"node {process.node_id} did not answer its init with init_ok: {failed}"
            raise NodeFailed(process.explain(text)) from None
        finally:
            connection.close()

    def _log(self, node_id: str) -> BinaryIO:
        if node_id not in self._logs:
            directory: Path = self._settings.store / LOGS
            directory.mkdir(exist_ok=True)
            self._logs[node_id] = (directory / f"{node_id}.log").open("ab", buffering=0)
        return self._logs[node_id]

    def _fail(self, failure: NodeFailed) -> None:
        if not self._failure.done():
            self._failure.set_result(failure)
