"""What is counted of calls to the stores."""

from tidings.kafka.metrics.stores import CountedBlobStore, CountedOrderStore, StoreMetrics
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.loop import run
from tidings.types import Slot


def test_store_metrics_count_the_bytes_of_each_call_in_either_direction() -> None:
    metrics = StoreMetrics(lambda: 0.0, lambda: 0)

    async def main() -> None:
        order = CountedOrderStore(MemoryOrderStore(), metrics)
        blobs = CountedBlobStore(MemoryBlobStore(), metrics)
        await order.append(Slot(0), b"entry")
        await order.append(Slot(1), b"another")
        await order.read(Slot(0), 10)
        await order.read_cell("cell")
        await order.swap_cell("cell", None, b"new")
        await order.read_cell("cell")
        await blobs.put("blob", bytes(100))
        await blobs.get("blob")
        await blobs.get("none")
        await blobs.get_range("blob", 90, 50)
        await order.trim(Slot(2))
        await order.read(Slot(0), 10)

    run(main())
    (told,) = [each for each in metrics.families() if each.name == "tidings_store_call_bytes_total"]
    assert {
        (sample.labels["store"], sample.labels["call"]): sample.value for sample in told.samples
    } == {
        ("order", "append"): 12,
        ("order", "read"): 12,
        ("order", "read_cell"): 3,
        ("order", "swap_cell"): 3,
        ("blob", "put"): 100,
        ("blob", "get"): 100,
        ("blob", "get_range"): 10,
    }
