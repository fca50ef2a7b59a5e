"""Brokers to test with, and calls to them as a client would make them: through bytes both ways."""

import io
from collections.abc import Mapping
from typing import Any

from kio.serial import entity_reader, entity_writer

from tidings.kafka.answering import Peer, accept, answer, begin
from tidings.kafka.broker import Broker
from tidings.kafka.encoding import encode
from tidings.kafka.known_brokers import Listener
from tidings.kafka.schema import Entity, request_class, response_class
from tidings.kafka.settings import BrokerSettings
from tidings.testing.clock import SimClock

PEER = Peer("127.0.0.1", Listener("broker.test", 9092))
CORRELATION_ID = 7
ANSWER_BYTES_MAX = 2**30
CLUSTER_ID = "tidings-test-cluster"


def broker_on(log: Any, **settings: Any) -> Broker:
    """Return a broker that works with a log, or with what stands in for one."""
    return Broker(log, SimClock(lambda: 0.0), BrokerSettings(**settings), CLUSTER_ID)


def request_frame(
    module: str, version: int, values: Mapping[str, Any], client_id: str = "tests"
) -> bytes:
    """Return a request as a client sends it, without its size."""
    entity = request_class(module, version)
    header = entity.__header_schema__
    out = io.BytesIO()
    entity_writer(header)(
        out,
        header(
            request_api_key=entity.__api_key__,
            request_api_version=version,
            correlation_id=CORRELATION_ID,
            client_id=client_id,
        ),
    )
    return out.getvalue() + encode(entity, values)


def read_response(module: str, version: int, data: bytes) -> Entity:
    """Return a response as a client reads it; `data` is all of it, size and header included."""
    entity = response_class(module, version)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    header, header_bytes = entity_reader(entity.__header_schema__)(data, 4)
    assert header.correlation_id == CORRELATION_ID
    body, body_bytes = entity_reader(entity)(data, 4 + header_bytes)
    assert 4 + header_bytes + body_bytes == len(data), "something follows the body"
    return body


async def call(broker: Broker, module: str, version: int, **values: Any) -> Entity:
    """Ask a broker and return what it answers."""
    frame = request_frame(module, version, values)
    return read_response(module, version, await answer_bytes(broker, frame))


async def call_on(
    listener: Listener, broker: Broker, module: str, version: int, **values: Any
) -> Entity:
    """Ask a broker as a client of one of its listeners."""
    frame = request_frame(module, version, values)
    data = await answer_bytes(broker, frame, Peer("127.0.0.1", listener))
    return read_response(module, version, data)


async def answer_bytes(broker: Broker, frame: bytes, peer: Peer = PEER) -> bytes:
    """Return what a connection would send for a request."""
    pending = accept(frame, broker.settings)
    work = begin(broker, peer, pending)
    if work is None:
        return b"".join(await answer(broker, peer, pending, ANSWER_BYTES_MAX))
    return b"".join(await work.wait())
