from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from tidings.workbench.network import (
    SLOW_LATENCY_MIN_S,
    Latency,
    Message,
    Network,
    Tap,
    UnknownDestination,
)
from tidings.workbench.services import LinKV
from tidings.workbench.settings import LatencyDistribution

MEAN_MS = 10.0


class Clock:
    """Keeps what is to happen later, and lets it happen when it is told to."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_later(self, delay_s: float, function: Callable[..., None], *arguments: Any) -> None:
        self.due.append((delay_s, function, arguments))

    def run(self) -> None:
        while self.due:
            due, self.due = sorted(self.due, key=lambda item: item[0]), []
            for _, function, arguments in due:
                function(*arguments)


class World:
    """Three nodes, a client and lin-kv on a network; keeps what arrives."""

    def __init__(
        self,
        mean_ms: float = MEAN_MS,
        distribution: LatencyDistribution = LatencyDistribution.CONSTANT,
        tap: Tap | None = None,
    ) -> None:
        self.clock = Clock()
        self.network = Network(
            services={"lin-kv": LinKV()},
            latency=Latency(Random(1), distribution, mean_ms),
            rng=Random(2),
            call_later=self.clock.call_later,
            tap=tap,
        )
        self.arrived: list[tuple[str, Any]] = []
        for node_id in ("n0", "n1", "n2"):
            self.start(node_id)
        self.client = self.network.attach_client(self.receive)

    def start(self, node_id: str) -> None:
        # A bound method is a new object each time: an incarnation of its own.
        self.network.attach_node(node_id, self.receive)

    def receive(self, message: Message) -> None:
        self.arrived.append((message.dest, msgspec.json.decode(message.body)))

    def send(self, src: str, dest: str, **body: Any) -> None:
        self.network.send(Message(src, dest, msgspec.Raw(msgspec.json.encode(body))))


READ = {"type": "read", "key": "k", "msg_id": 7}
ABSENT = {"type": "error", "code": 20, "text": "key does not exist", "in_reply_to": 7}


def test_network_message_between_nodes_is_delayed_by_the_latency() -> None:
    world = World()
    world.send("n0", "n1", text="hello")
    assert world.arrived == []
    assert [delay_s for delay_s, _, _ in world.clock.due] == [MEAN_MS / 1000]
    world.clock.run()
    assert world.arrived == [("n1", {"text": "hello"})]


def test_network_message_of_a_client_is_never_delayed() -> None:
    world = World()
    world.send(world.client, "n0", text="request")
    world.send("n0", world.client, text="reply")
    assert world.arrived == [("n0", {"text": "request"}), (world.client, {"text": "reply"})]
    assert world.clock.due == []


def test_network_without_latency_needs_no_timer() -> None:
    world = World(mean_ms=0)
    world.send("n0", "n1", text="hello")
    world.send("n0", "lin-kv", **READ)
    assert world.arrived == [("n1", {"text": "hello"}), ("n0", ABSENT)]
    assert world.clock.due == []


def test_network_service_is_delayed_both_ways_and_executes_on_arrival() -> None:
    world = World()
    world.send("n0", "lin-kv", **READ)
    [(_, serve, arguments)] = world.clock.due
    world.clock.due.clear()
    serve(*arguments)
    assert world.arrived == []
    world.clock.run()
    assert world.arrived == [("n0", ABSENT)]


def test_network_latency_that_spreads_reorders_messages() -> None:
    world = World(distribution=LatencyDistribution.EXPONENTIAL)
    for number in range(20):
        world.send("n0", "n1", number=number)
    world.clock.run()
    numbers = [body["number"] for _, body in world.arrived]
    assert sorted(numbers) == list(range(20))
    assert numbers != sorted(numbers)


@pytest.mark.parametrize("distribution", list(LatencyDistribution))
def test_latency_has_the_asked_mean(distribution: LatencyDistribution) -> None:
    latency = Latency(Random(4), distribution, MEAN_MS)
    draws = [latency.draw_s() for _ in range(4000)]
    assert sum(draws) / len(draws) == pytest.approx(MEAN_MS / 1000, rel=0.05)
    assert min(draws) >= 0


def test_latency_uniform_stays_below_twice_the_mean() -> None:
    latency = Latency(Random(4), LatencyDistribution.UNIFORM, MEAN_MS)
    assert max(latency.draw_s() for _ in range(4000)) <= 2 * MEAN_MS / 1000


def delays_of(world: World) -> list[float]:
    return [delay_s for delay_s, _, _ in world.clock.due]


def test_network_slow_multiplies_latency_until_undone() -> None:
    world = World()
    for factor in (10, 1):
        world.network.slow(factor)
        world.send("n0", "n1")
    assert delays_of(world) == pytest.approx([10 * MEAN_MS / 1000, MEAN_MS / 1000])


def test_network_slow_also_slows_what_had_no_latency() -> None:
    world = World(mean_ms=0)
    world.network.slow(3)
    world.send("n0", "n1")
    assert delays_of(world) == pytest.approx([3 * SLOW_LATENCY_MIN_S])


def test_network_loses_the_asked_part_until_undone() -> None:
    world = World()
    world.network.lose(0.5)
    for _ in range(400):
        world.send("n0", "n1")
    world.clock.run()
    assert 150 < len(world.arrived) < 250
    assert world.network.traffic.lost == 400 - len(world.arrived)
    world.network.lose(0)
    world.arrived.clear()
    for _ in range(100):
        world.send("n0", "n1")
    world.clock.run()
    assert len(world.arrived) == 100


def test_network_loses_nothing_of_clients() -> None:
    world = World()
    world.network.lose(1.0)
    world.send(world.client, "n0", text="request")
    world.send("n0", world.client, text="reply")
    world.send("n0", "lin-kv", **READ)
    world.clock.run()
    assert [dest for dest, _ in world.arrived] == ["n0", world.client]


def test_network_duplicates_messages_between_nodes_only_and_counts_them_once() -> None:
    world = World()
    world.network.duplicate(1.0)
    world.send("n0", "n1", text="twice")
    world.send(world.client, "n0", text="once")
    world.send("n1", "lin-kv", **READ)
    world.clock.run()
    assert Counter(dest for dest, _ in world.arrived) == {"n1": 3, "n0": 1}
    assert world.network.traffic.by_peer == {"nodes": 1, "lin-kv": 2}
    world.network.duplicate(0)
    world.send("n0", "n1")
    assert len(world.clock.due) == 1


class KeepingTap:
    """Keeps what became of each message."""

    def __init__(self) -> None:
        self.fates: list[str] = []

    def sent(self, message: Message) -> int:
        self.fates.append(f"{message.src} to {message.dest}")
        return len(self.fates) - 1

    def arrived(self, number: int) -> None:
        self.fates[number] += " arrived"

    def lost(self, number: int) -> None:
        self.fates[number] += " lost"


def test_network_tap_is_told_the_fate_of_every_message() -> None:
    tap = KeepingTap()
    world = World(tap=tap)
    world.network.partition({"n1": ["n0"]})
    world.send("n0", "n1")
    world.send("n1", "n0")
    world.send("n1", "lin-kv", **READ)
    world.send(world.client, "n2")
    world.network.detach_node("n2")
    world.send(world.client, "n2")
    world.clock.run()
    assert tap.fates == [
        "n0 to n1 lost",
        "n1 to n0 arrived",
        "n1 to lin-kv arrived",
        "c0 to n2 arrived",
        "c0 to n2 lost",
        "lin-kv to n1 arrived",
    ]


def test_network_partition_drops_at_the_receiver_also_what_is_under_way() -> None:
    world = World()
    world.send("n0", "n1", text="under way")
    world.network.partition({"n1": ["n0"]})
    world.send("n1", "n0", text="the other way")
    world.send("n2", "n1", text="from a third")
    world.clock.run()
    assert world.arrived == [("n0", {"text": "the other way"}), ("n1", {"text": "from a third"})]
    world.network.partition({})
    world.send("n0", "n1", text="healed")
    world.clock.run()
    assert world.arrived[-1] == ("n1", {"text": "healed"})


def test_network_partition_keeps_nobody_from_services_and_clients() -> None:
    world = World()
    world.network.partition({node: ["n0", "n1", "n2"] for node in ("n0", "n1", "n2")})
    world.send("n0", "lin-kv", **READ)
    world.send(world.client, "n0", text="request")
    world.clock.run()
    assert world.arrived == [("n0", {"text": "request"}), ("n0", ABSENT)]


def test_network_killed_node_loses_what_was_under_way_to_it() -> None:
    world = World()
    world.send("n0", "n1", text="for the old one")
    world.send("n1", "lin-kv", **READ)
    world.network.detach_node("n1")
    world.start("n1")
    world.send("n0", "n1", text="for the new one")
    world.clock.run()
    assert world.arrived == [("n1", {"text": "for the new one"})]
    assert world.network.traffic.lost == 2


def test_network_node_that_is_down_hears_nothing() -> None:
    world = World()
    world.network.detach_node("n1")
    world.send("n0", "n1")
    world.send(world.client, "n1")
    world.clock.run()
    assert world.arrived == []
    assert world.network.traffic.lost == 2


def test_network_closed_client_hears_nothing_and_is_no_error() -> None:
    world = World()
    world.network.detach_client(world.client)
    world.send("n0", world.client, text="late reply")
    assert world.arrived == []
    assert world.network.attach_client(world.receive) != world.client


def test_network_unknown_destination_is_an_error() -> None:
    with pytest.raises(UnknownDestination, match="n9"):
        World().send("n0", "n9")


def test_network_body_that_is_no_object_is_an_error_for_a_service() -> None:
    with pytest.raises(msgspec.DecodeError):
        World().network.send(Message("n0", "lin-kv", msgspec.Raw(b"[1]")))


def test_traffic_counts_each_message_once_by_who_is_involved() -> None:
    world = World(mean_ms=0)
    world.send(world.client, "n0")
    world.send("n0", "n1")
    world.send("n1", "n0")
    world.send("n0", "lin-kv", **READ)
    world.send("n0", world.client)
    traffic = world.network.traffic
    assert traffic.clients == 2
    assert traffic.by_peer == {"nodes": 2, "lin-kv": 2}
    assert (traffic.servers, traffic.total) == (4, 6)
