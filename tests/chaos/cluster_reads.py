"""Reads a whole cluster through one of its brokers, which is asked for everything itself.

Unmodified clients ask a partition's leader; but any broker must give all records.
"""

import asyncio
from collections.abc import Mapping, Sequence

from chaos_clients import PATIENCE_S, TOPICS, key_of, to_message
from chaos_history import Recorder

from tidings.checker.history import Event
from tidings.checker.operations import UNKNOWN_OFFSET, read_operations
from tidings.client import admin
from tidings.client.cluster import Cluster, join
from tidings.client.consuming import consume
from tidings.errors import TidingsError
from tidings.types import Json

Given = dict[str, list[tuple[int, Json]]]
"""By key, the offsets and messages of all its records."""


def read_from(name: str, address: str, recorder: Recorder) -> None:
    """Read everything from one broker, as a new process; complain of what it does not give."""
    try:
        given = asyncio.run(_patiently(address))
    except (TidingsError, TimeoutError) as error:
        recorder.complain(f"not everything could be read from {name}: {error!r}")
        return
    process = recorder.new_process()
    keys: Json = list(given)
    records: Json = {key: [list(record) for record in told] for key, told in given.items() if told}
    for f, value in (("assign", keys), ("poll", [["poll", records]])):
        recorder.note("invoke", process, f, value if f == "assign" else [["poll"]])
        recorder.note("ok", process, f, value)
    for text in missing(recorder.events(), given):
        recorder.complain(f"{name} {text}")


async def _patiently(address: str) -> Given:
    async with asyncio.timeout(PATIENCE_S):
        host, _, port = address.rpartition(":")
        async with join(host, int(port)) as cluster:
            given: Given = {}
            for topic in TOPICS:
                given |= await _read(cluster, topic, (host, int(port)))
            return given


async def _read(cluster: Cluster, topic: str, place: tuple[str, int]) -> Given:
    metadata = await cluster.metadata([topic])
    (node_id,) = (one.node_id for one in metadata.brokers if (one.host, one.port) == place)
    (found,) = metadata.topics
    leaders = {one.partition_index: node_id for one in found.partitions}
    ends = await admin.offsets(cluster, topic, leaders, admin.LATEST)
    given: Given = {key_of(topic, partition): [] for partition in leaders}
    positions = dict.fromkeys(leaders, 0)
    async for record in consume(cluster, topic, leaders, positions, ends):
        given[key_of(topic, record.partition)].append(
            (record.offset, to_message(record.fields.value))
        )
    return given


def missing(history: Sequence[Event], given: Mapping[str, Sequence[tuple[int, Json]]]) -> list[str]:
    """Say what was acknowledged and is not among the records that a broker gave, by key."""
    lost: dict[str, list[Json]] = {}
    records = {key: set(told) for key, told in given.items()}
    messages = {key: {message for _, message in told} for key, told in given.items()}
    for operation in read_operations(history):
        if operation.type == "ok":
            for key, batch in operation.sends.items():
                offset, message = batch.offsets[0], batch.messages[0]
                # A producer may learn of an acknowledgement by that of what it sent later.
                is_given = (
                    message in messages.get(key, ())
                    if offset == UNKNOWN_OFFSET
                    else (offset, message) in records.get(key, ())
                )
                if not is_given:
                    lost.setdefault(key, []).append(message)
    return [
        f"does not give {len(its)} acknowledged records of {key}, such as message {its[0]}"
        for key, its in lost.items()
    ]
