"""From a request's bytes to its answer's bytes: finds the row, decodes, handles, encodes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from kio.schema.errors import ErrorCode

from tidings.errors import InvalidRequest
from tidings.kafka.apis import API_OF_KEY, APIS, Answer, Api, advertised
from tidings.kafka.at_work import AtWork
from tidings.kafka.broker import Broker, Context
from tidings.kafka.codec import (
    API_VERSIONS_KEY,
    Buffers,
    Encoded,
    Prefix,
    decode,
    encode_response,
    is_flexible,
    read_prefix,
    response_head,
)
from tidings.kafka.handlers import api_versions, produce_one
from tidings.kafka.known_brokers import Listener
from tidings.kafka.settings import BrokerSettings


class Peer(NamedTuple):
    """Who asks, and how it knows this broker."""

    host: str
    listener: Listener


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A request whose turn comes."""

    api: Api
    prefix: Prefix
    frame: bytes | memoryview


class Begun(Protocol):
    """A request at work without a task."""

    @property
    def results(self) -> asyncio.Future[Any]:
        """Done when there is an answer."""

    def answer(self) -> Buffers:
        """Return the answer; `results` is done.

        Raises:
            InvalidRequest: There is none.
        """

    def cancel(self) -> None:
        """Wait no more."""


class Answerer(NamedTuple):
    """What answers requests: `answer` and `begin`, or functions around them.

    Whatever stands around `answer` must not await before it, or Produce requests of one connection
    could overtake each other.
    """

    answer: Callable[[Broker, Peer, Pending, int], Awaitable[Buffers]]
    begin: Callable[[Broker, Peer, Pending], Begun | None]
    """Begins a request that needs no task; None if it needs one."""


def accept(frame: bytes | memoryview, settings: BrokerSettings) -> Pending:
    """Return what a frame asks for, without reading more than its first bytes.

    Raises:
        InvalidRequest: No request of an API and version that is served. There is no answer to that
            in Kafka's protocol; brokers close the connection.
    """
    prefix = read_prefix(frame)
    api = API_OF_KEY.get(prefix.api_key)
    if api is None:
        raise InvalidRequest(f"there is no API {prefix.api_key} here")
    if not api.serves(prefix.api_version) and api.key != API_VERSIONS_KEY:
        raise InvalidRequest(
            f"{api.module} is served in versions {api.lowest} to {api.highest}, "
            f"not {prefix.api_version}"
        )
    if len(frame) > settings.other_request_bytes_max and not api.carries_records:
        raise InvalidRequest(
            f"a {api.module} request of {len(frame)} bytes; "
            f"the limit is {settings.other_request_bytes_max}"
        )
    return Pending(api, prefix, frame)


async def answer(broker: Broker, peer: Peer, pending: Pending, answer_bytes_max: int) -> Buffers:
    """Handle one request; return the whole response, size and header included; empty if none.

    Raises:
        InvalidRequest: The bytes are no such request.
    """
    api, prefix, frame = pending.api, pending.prefix, pending.frame
    if not api.serves(prefix.api_version):
        return _unsupported_version(prefix)
    request = decode(api.module, prefix.api_version, frame)
    context = Context(
        prefix.api_version, request.client_id, peer.host, peer.listener, answer_bytes_max
    )
    return response(api, prefix, await api.handler(broker, context, request.body))


def begin(broker: Broker, peer: Peer, pending: Pending) -> AtWork[Buffers] | None:
    """Begin to handle a request that needs no task; None if it needs one.

    The same as `answer` would do; requests are put in order in the order of these calls.

    Raises:
        InvalidRequest: The bytes are no such request.
    """
    api, prefix, frame = pending.api, pending.prefix, pending.frame
    if api.begin is None:
        return None
    at_work = produce_one.begin(broker, prefix, frame)
    if at_work is not None:
        return at_work
    request = decode(api.module, prefix.api_version, frame)
    # An answer to such a request has no records, so that its size needs no limit.
    context = Context(prefix.api_version, request.client_id, peer.host, peer.listener, 0)
    return api.begin(broker, context, request.body, partial(response, api, prefix))


def response(api: Api, prefix: Prefix, body: Answer) -> Buffers:
    """Return the whole response with this body."""
    if body is None:
        return ()
    if isinstance(body, Encoded):
        parts = body.buffers
    else:
        parts = (encode_response(api.module, prefix.api_version, body),)
    head = response_head(
        api.key,
        flexible=is_flexible(api.module, prefix.api_version),
        correlation_id=prefix.correlation_id,
        body_bytes=sum(map(len, parts)),
    )
    return (head, *parts)


ANSWERER = Answerer(answer, begin)


def _unsupported_version(prefix: Prefix) -> Buffers:
    """Return what tells a client of any age which versions it may use (KIP-511)."""
    ranges = [(api.key, advertised(api), api.highest) for api in APIS if api.key == prefix.api_key]
    values = api_versions.body(ranges, ErrorCode.unsupported_version)
    body = encode_response("api_versions", 0, values)
    head = response_head(
        API_VERSIONS_KEY,
        flexible=False,
        correlation_id=prefix.correlation_id,
        body_bytes=len(body),
    )
    return (head, body)
