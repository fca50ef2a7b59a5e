"""What brokers tell operators of each other."""

import asyncio
import random

import pytest

from tidings.core.entry import Append, Entry, Inline, Submission
from tidings.core.results import Placed
from tidings.engine.gossip import incarnation_of
from tidings.kafka.cluster.brokers import Registration
from tidings.kafka.cluster.metrics import families
from tidings.kafka.cluster.registry import Registry, register
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.kafka.metrics.appends import AppendMetrics
from tidings.kafka.metrics.exposition import Family, Sample
from tidings.stores.memory import MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Offset, Slot, TopicPartition

SETTINGS = RegistrySettings()


async def registry_of(order: MemoryOrderStore, broker: Registration) -> Registry:
    rng = random.Random(broker.port)
    own = await register(order, broker, rng, node_id=None, settings=SETTINGS)
    return Registry(order, own, rng, settings=SETTINGS, is_linked=lambda _: True)


def samples(found: dict[str, Family], name: str) -> list[Sample]:
    return list(found[name].samples)


def test_broker_tells_of_all_that_are_alive_and_to_which_it_is_connected() -> None:
    async def main() -> dict[str, Family]:
        order = MemoryOrderStore()
        named = [
            Registration(0, "life 1", "one", 9092, "one", 9093, "a", 0, metrics_port=9464),
            Registration(0, "life 2", "::2", 9092, "::2", 9093, None, 0),
            Registration(0, "life 3", "three", 9092, "three", 9093, None, 0),
        ]
        registries = [await registry_of(order, each) for each in named]
        async with asyncio.TaskGroup() as tasks:
            beating = [tasks.create_task(each.serve()) for each in registries]
            await asyncio.sleep(2 * SETTINGS.beat_interval_s)
            seen = {each.name: each for each in families(registries[0], [3])}
            for task in beating:
                task.cancel()
        return seen

    found = run(main())
    assert samples(found, "tidings_broker_id") == [Sample(1)]
    assert samples(found, "tidings_cluster_brokers") == [Sample(3)]
    assert [sample.labels for sample in samples(found, "tidings_cluster_broker_info")] == [
        {"broker": "1", "address": "one:9092", "rack": "a", "metrics": "one:9464"},
        {"broker": "2", "address": "[::2]:9092", "rack": "", "metrics": ""},
        {"broker": "3", "address": "three:9092", "rack": "", "metrics": ""},
    ]
    assert samples(found, "tidings_gossip_connected") == [
        Sample(False, {"broker": "2"}),
        Sample(True, {"broker": "3"}),
    ]


def test_age_of_the_beat_grows_while_others_cannot_be_told() -> None:
    class Store(MemoryOrderStore):
        is_full = False

        async def swap_cell(self, name: str, old: bytes | None, new: bytes) -> bool:
            return not self.is_full and await super().swap_cell(name, old, new)

    async def main() -> tuple[float, float]:
        order = Store()
        registry = await registry_of(order, Registration(0, "life", "h", 1, "h", 2, None, 0))
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(registry.serve())
            await asyncio.sleep(100.5 * SETTINGS.beat_interval_s)
            before = registry.beat_age_s
            order.is_full = True
            await asyncio.sleep(100)
            after = registry.beat_age_s
            beating.cancel()
        return before, after

    before, after = run(main())
    assert before < SETTINGS.beat_interval_s
    assert 100 <= after <= 100 + SETTINGS.beat_interval_s


@pytest.mark.parametrize(("publisher", "count"), [("n1", 3), ("n11", 0), ("n2", 0)])
def test_broker_counts_what_it_published_itself(publisher: str, count: int) -> None:
    metrics = AppendMetrics("n1")
    append = Append(TopicPartition("news", 0), 3, Inline(b"batch"))
    submission = Submission("n2/nonce.0", 1, Slot(9), [append])
    entry = Entry(incarnation_of(publisher, "nonce"), 0, [submission])
    metrics.observe(Slot(0), entry, [(submission, [Placed(Offset(0))])])
    found = {family.name: family for family in metrics.families()}
    assert samples(found, "tidings_appended_records_total") == [Sample(count)]
