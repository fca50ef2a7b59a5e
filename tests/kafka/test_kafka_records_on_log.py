"""Records through the handlers and a real log: what the two make of each other."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from batches_made import FIRST_MS, MadeRecord, batch_of
from broker_in_memory import broker_on, call
from kio.schema.errors import ErrorCode

from tidings.engine.log import Log
from tidings.kafka.broker import Broker
from tidings.kafka.standalone import Alone
from tidings.ports import AppendOutcome, Unsettled
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.clock import SimClock
from tidings.testing.loop import run
from tidings.types import Slot

LIFE_S = 600.0


def on_a_log(
    scenario: Callable[[Broker], Awaitable[None]], order: MemoryOrderStore | None = None
) -> None:
    """Carry out a scenario with a broker whose log runs; topic `a` has one partition."""

    async def main() -> None:
        log = Log(
            order or MemoryOrderStore(),
            MemoryBlobStore(),
            peers=Alone("n0"),
            clock=SimClock(lambda: 0.0),
            rng=random.Random("records"),
        )
        async with asyncio.timeout(LIFE_S), asyncio.TaskGroup() as tasks:
            node = tasks.create_task(log.run())
            await log.create_topic("a")
            await scenario(broker_on(log))
            node.cancel()

    run(main())


async def produce(broker: Broker, *batches: bytes) -> list[tuple[ErrorCode, int]]:
    """Produce batches to partition 0, all in flight at once; return codes and offsets."""

    async def one(data: bytes) -> tuple[ErrorCode, int]:
        partition = {"index": 0, "records": data}
        topics = [{"name": "a", "partition_data": [partition]}]
        response = await call(broker, "produce", 9, acks=-1, timeout=5000, topic_data=topics)
        (found,) = response.responses[0].partition_responses
        return found.error_code, found.base_offset

    async with asyncio.TaskGroup() as tasks:
        sent = [tasks.create_task(one(data)) for data in batches]
    return [task.result() for task in sent]


async def fetch(broker: Broker, offset: int, **more: Any) -> Any:
    partition = {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
    values = {
        "replica_id": -1,
        "max_wait": 0,
        "min_bytes": 1,
        "session_epoch": -1,
        "topics": [{"topic": "a", "partitions": [partition]}],
        **more,
    }
    response = await call(broker, "fetch", 12, **values)
    return response.responses[0].partitions[0]


async def offset_at(broker: Broker, timestamp_ms: int) -> tuple[int, int]:
    partition = {"partition_index": 0, "timestamp": timestamp_ms}
    topics = [{"name": "a", "partitions": [partition]}]
    values = {"replica_id": -1, "isolation_level": 0, "topics": topics}
    response = await call(broker, "list_offsets", 9, **values)
    found = response.topics[0].partitions[0]
    return found.offset, found.timestamp


def sequenced(base_sequence: int, epoch: int = 0) -> bytes:
    return batch_of([MadeRecord(FIRST_MS + base_sequence)], producer=(9, epoch, base_sequence))


def test_batches_of_an_idempotent_producer_in_flight_together_keep_their_order() -> None:
    async def scenario(broker: Broker) -> None:
        batches = [sequenced(number) for number in range(5)]
        expected = [(ErrorCode.none, number) for number in range(5)]
        assert await produce(broker, *batches) == expected
        assert await produce(broker, *batches) == expected, "repeats get the offsets they have"
        assert (await fetch(broker, 0)).high_watermark == 5

    on_a_log(scenario)


def test_batches_of_an_idempotent_producer_that_do_not_fit_are_refused() -> None:
    async def scenario(broker: Broker) -> None:
        await produce(broker, sequenced(0, epoch=1))
        refused = await produce(broker, sequenced(7, epoch=1), sequenced(0, epoch=0))
        assert refused == [
            (ErrorCode.out_of_order_sequence_number, -1),
            (ErrorCode.invalid_producer_epoch, -1),
        ]

    on_a_log(scenario)


def test_fetch_that_waits_gets_what_is_produced_meanwhile() -> None:
    async def scenario(broker: Broker) -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(fetch(broker, 0, max_wait=60_000))
            await asyncio.sleep(10)
            assert not waiting.done()
            await produce(broker, sequenced(0))
        assert waiting.result().high_watermark == 1

    on_a_log(scenario)


def test_records_are_found_by_time_and_deleted() -> None:
    async def scenario(broker: Broker) -> None:
        times = [(10, 30, 20), (40, 40)]
        for some in times:
            await produce(broker, batch_of([MadeRecord(FIRST_MS + time_ms) for time_ms in some]))
        assert await offset_at(broker, FIRST_MS + 11) == (1, FIRST_MS + 30)
        assert await offset_at(broker, -3) == (3, FIRST_MS + 40)
        partition = {"partition_index": 0, "offset": 2}
        topics = [{"name": "a", "partitions": [partition]}]
        await call(broker, "delete_records", 2, topics=topics, timeout=1000)
        assert await offset_at(broker, -2) == (2, -1)
        assert await offset_at(broker, FIRST_MS) == (2, FIRST_MS + 20)
        assert (await fetch(broker, 1)).error_code == ErrorCode.offset_out_of_range
        assert (await fetch(broker, 2)).error_code == ErrorCode.none

    on_a_log(scenario)


class AbsentOrderStore(MemoryOrderStore):
    """Gives no answer while it is away."""

    is_away = False

    async def append(self, slot: Slot, entry: bytes) -> AppendOutcome:
        if self.is_away:
            return Unsettled("it is away")
        return await super().append(slot, entry)


def test_produce_whose_time_is_up_does_not_put_what_follows_it_out_of_order() -> None:
    order = AbsentOrderStore()

    async def scenario(broker: Broker) -> None:
        await produce(broker, sequenced(0))
        order.is_away = True
        async with asyncio.TaskGroup() as tasks:
            # On its way, so that the others gather behind it.
            tasks.create_task(produce(broker, batch_of()))
            await asyncio.sleep(0.5)
            first = tasks.create_task(produce(broker, sequenced(1)))
            await asyncio.sleep(4.0)
            second = tasks.create_task(produce(broker, sequenced(2)))
            await first
            order.is_away = False
        assert first.result() == [(ErrorCode.request_timed_out, -1)]
        # Behind one record of the producer, that of the others, and the one without an answer.
        assert second.result() == [(ErrorCode.none, 3)]
        assert await produce(broker, sequenced(1)) == [(ErrorCode.none, 2)]

    on_a_log(scenario, order)
