"""What becomes of batches of an idempotent producer that has raised its epoch: as in Apache Kafka.

Clients raise it by themselves (KIP-360), and begin again with sequence 0. What they sent before may
still come, through another connection, and here through another broker.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

import brokers
import databases
import pytest
from kio.schema.errors import ErrorCode
from members import member
from obtaining import obtained

from tidings.client.connection import Connection, connect
from tidings.kafka.record_batch import Compression
from tidings.kafka.records import RecordFields, encode_batch

pytestmark = pytest.mark.real

TOPIC = "news"
TIMEOUT_MS = 30_000


@contextlib.contextmanager
def kafka() -> Iterator[list[str]]:
    """Run Apache Kafka; the other way to it is another connection."""
    with brokers.kafka() as broker:
        yield [broker.address] * 2


@contextlib.contextmanager
def tidings() -> Iterator[list[str]]:
    """Run two brokers of one cluster."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(databases.postgres())
        options = ["--store", databases.postgres_url(store.address)]
        members = [member(stack, options) for _ in range(2)]
        for each in members:
            each.start()
        yield [each.address for each in members]


KINDS = {"Apache Kafka": kafka, "Tidings": tidings}


@pytest.fixture(scope="module", params=KINDS)
def addresses(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    with obtained(KINDS[request.param]) as found:
        yield found


NOT_YET = [ErrorCode.not_leader_or_follower, ErrorCode.unknown_topic_or_partition]
"""What Kafka says of a topic that was just created; nothing was stored then."""


class Ways:
    """Two ways on which the batches of one producer come."""

    def __init__(self, connections: Sequence[Connection], producer_id: int) -> None:
        self.first, self.other = connections
        self._producer_id = producer_id

    async def produce(
        self, way: Connection, epoch: int, sequence: int, partition: int = 0
    ) -> ErrorCode:
        """Produce a batch of one record; return what is said."""
        stamp = (self._producer_id, epoch, sequence)
        record = RecordFields(0, None, b"%d/%d" % (epoch, sequence), ())
        batch = {"index": partition, "records": encode_batch([record], Compression.NONE, stamp)}
        while True:
            answer = await way.ask(
                "produce",
                acks=-1,
                timeout=TIMEOUT_MS,
                topic_data=[{"name": TOPIC, "partition_data": [batch]}],
            )
            code = ErrorCode(answer.responses[0].partition_responses[0].error_code)
            if code not in NOT_YET:
                return code


async def new_producer(way: Connection) -> int:
    """Return a producer id that nobody else has, with epoch 0."""
    while True:
        found = await way.ask(
            "init_producer_id", transactional_id=None, transaction_timeout_ms=TIMEOUT_MS
        )
        if found.error_code != ErrorCode.coordinator_load_in_progress:
            assert (found.error_code, found.producer_epoch) == (ErrorCode.none, 0)
            return int(found.producer_id)


@contextlib.asynccontextmanager
async def ways(addresses: list[str]) -> AsyncIterator[Ways]:
    """Connect both ways, for a producer that has a new id."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for address in addresses:
            host, _, port = address.rpartition(":")
            found.append(await stack.enter_async_context(await connect(host, int(port))))
        producer = await new_producer(found[0])
        wanted = {"name": TOPIC, "num_partitions": 2, "replication_factor": 1}
        wanted |= {"assignments": [], "configs": []}
        await found[0].ask("create_topics", topics=[wanted], timeout=TIMEOUT_MS)
        yield Ways(found, producer)


def test_batch_of_an_older_epoch_is_refused_once_a_newer_one_has_written_there(
    addresses: list[str],
) -> None:
    async def main() -> None:
        async with ways(addresses) as found:
            assert await found.produce(found.first, 0, 0) is ErrorCode.none
            assert await found.produce(found.first, 1, 0) is ErrorCode.none
            late = await found.produce(found.other, 0, 1)
            assert late is ErrorCode.invalid_producer_epoch

    asyncio.run(main())


def test_late_batch_of_an_older_epoch_is_stored_before_a_newer_one_has_written_there(
    addresses: list[str],
) -> None:
    async def main() -> None:
        async with ways(addresses) as found:
            assert await found.produce(found.first, 0, 0) is ErrorCode.none
            assert await found.produce(found.other, 0, 1) is ErrorCode.none
            # The same record, for all that the producer knows: nobody can see that.
            assert await found.produce(found.first, 1, 0) is ErrorCode.none

    asyncio.run(main())


def test_epochs_of_partitions_are_apart(addresses: list[str]) -> None:
    """Kafka's own client goes on with the older one where it has batches in flight."""

    async def main() -> None:
        async with ways(addresses) as found:
            assert await found.produce(found.first, 0, 0, partition=1) is ErrorCode.none
            assert await found.produce(found.first, 1, 0, partition=0) is ErrorCode.none
            assert await found.produce(found.other, 0, 1, partition=1) is ErrorCode.none

    asyncio.run(main())
