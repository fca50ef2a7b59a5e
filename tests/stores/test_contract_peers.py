"""Every way between nodes against the shipped contract suite."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import msgspec
import pytest
from memory_network import MemoryNetwork, networks

from tidings.maelstrom import node
from tidings.maelstrom.designs import journal
from tidings.testing.contract import Make, PeersNode, peers_checks
from tidings.testing.loop import run
from tidings.workbench.network import Latency, Message, Network
from tidings.workbench.settings import LatencyDistribution

LOSSLESS = peers_checks(is_lossless=True)
LOSSY = peers_checks(is_lossless=False)

a_few_seeds = pytest.mark.parametrize("seed", range(3))


def workbench_networks(seed: int, *, is_flaky: bool) -> Make[PeersNode]:
    """Make the peers of the journal design, on the workbench's network."""

    @asynccontextmanager
    async def make(count: int) -> AsyncIterator[Sequence[PeersNode]]:
        network = Network(
            services={},
            latency=Latency(Random(f"{seed}/latency"), LatencyDistribution.EXPONENTIAL, 20),
            rng=Random(f"{seed}/network"),
            call_later=asyncio.get_running_loop().call_later,
        )
        if is_flaky:
            network.lose(0.5)
        names = [f"n{number}" for number in range(count)]
        yield [join(network, name, names) for name in names]

    return make


def join(network: Network, name: str, names: list[str]) -> PeersNode:
    def write_line(line: bytes) -> None:
        network.send(msgspec.json.decode(line, type=Message))

    def receive(message: Message) -> None:
        body = msgspec.json.decode(message.body)
        joined.received.append((message.src, b64decode(body["data"])))

    peers = journal.Peers(node.Peers(name, names, write_line))
    joined = PeersNode(peers, stop=partial(network.detach_node, name))
    network.attach_node(name, receive)
    return joined


@a_few_seeds
@pytest.mark.parametrize("name", LOSSLESS)
def test_memory_network_keeps_the_contract(name: str, seed: int) -> None:
    run(LOSSLESS[name](networks(partial(MemoryNetwork, seed, doubling=0.2)), seed))


@a_few_seeds
@pytest.mark.parametrize("name", LOSSY)
def test_memory_network_that_loses_keeps_the_contract(name: str, seed: int) -> None:
    run(LOSSY[name](networks(partial(MemoryNetwork, seed, loss=0.3, doubling=0.2)), seed))


@a_few_seeds
@pytest.mark.parametrize("name", LOSSLESS)
def test_peers_of_the_journal_design_keep_the_contract(name: str, seed: int) -> None:
    run(LOSSLESS[name](workbench_networks(seed, is_flaky=False), seed))


@a_few_seeds
@pytest.mark.parametrize("name", LOSSY)
def test_peers_of_the_journal_design_on_a_flaky_network_keep_the_contract(
    name: str, seed: int
) -> None:
    run(LOSSY[name](workbench_networks(seed, is_flaky=True), seed))


def test_contract_demands_arrival_only_where_nothing_is_lost() -> None:
    assert sorted(LOSSLESS.keys() - LOSSY.keys()) == ["everything_arrives"]
