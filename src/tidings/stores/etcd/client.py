"""Calls to the members of an etcd cluster, each sent once, with a deadline; what errors mean.

A call goes to the member that answered last. It goes to another one only if that has no connection,
so that nothing was sent, or if it refused; after a call without an answer, the next one does.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from tidings.errors import Indeterminate, InvalidRequest, TidingsError, Unavailable
from tidings.stores.etcd.address import EtcdAddress
from tidings.stores.etcd.messages import AUTHENTICATE, WATCH, Fields, authenticate_request

CHANNEL_OPTIONS: Mapping[str, int] = {
    # Nothing is sent twice behind our back.
    "grpc.enable_retries": 0,
    # An answer may hold many entries.
    "grpc.max_receive_message_length": -1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 1000,
    # Each client has connections of its own, as one in another process has.
    "grpc.use_local_subchannel_pool": 1,
}

REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DATA_LOSS,
)
"""Codes with which etcd says that it did nothing and will not. All others leave it open, `no
leader` and `request timed out` among them: the proposal may be on its way."""

TOO_LARGE = ("request is too large", "larger than max")
NO_SPACE = "database space exceeded"
OLD_TOKEN = ("invalid auth token", "revision of auth store is old")

_TEXTS: Any = None
"""Requests and answers are bytes here: gRPC need not change them."""


class EtcdClient:
    """A client of one cluster. Make it in the event loop that uses it, and close it."""

    def __init__(self, address: EtcdAddress, *, timeout_s: float) -> None:
        """Connects when it is first used.

        Args:
            address: The members and how to be let in.
            timeout_s: How long a call may take, with connecting.
        """
        self._address = address
        self._timeout_s = timeout_s
        self._channels = [_channel(member, address) for member in address.members]
        # The place of the member that is asked first.
        self._preferred = 0
        self._token: str | None = None

    async def close(self) -> None:
        """Close all connections; calls that wait fail."""
        for channel in self._channels:
            await channel.close()

    async def call(self, method: str, request: bytes) -> bytes:
        """Send a request to one member, once; return its answer.

        Raises:
            InvalidRequest: It is larger than the cluster takes; nothing was done.
            Unavailable: It was refused, or no member can be reached; nothing was done.
            Indeterminate: No answer; it may have been carried out, or still be.
        """
        was_sent = False
        try:
            async with asyncio.timeout(self._timeout_s):
                place = await self._ready()
                was_sent = True
                return await self._send(place, method, request)
        except TimeoutError:
            self._avoid(self._preferred)
            kind = Indeterminate if was_sent else Unavailable
            raise kind(f"etcd did not answer in {self._timeout_s:g} s") from None

    async def _send(self, place: int, method: str, request: bytes) -> bytes:
        try:
            return await self._send_once(place, method, request)
        except grpc.aio.AioRpcError as error:
            if _is_old_token(error) and self._address.user:
                # It was refused for that, and so not carried out.
                self._token = None
            else:
                raise self._failure(place, error) from error
        try:
            await self._authenticate(place)
            return await self._send_once(place, method, request)
        except grpc.aio.AioRpcError as error:
            raise self._failure(place, error) from error

    async def _send_once(self, place: int, method: str, request: bytes) -> bytes:
        stub = self._channels[place].unary_unary(method, _TEXTS, _TEXTS)
        answer: bytes = await stub(request, metadata=self._metadata(), timeout=self._timeout_s)
        return answer

    def _metadata(self) -> Sequence[tuple[str, str]]:
        return () if self._token is None else (("token", self._token),)

    async def _authenticate(self, place: int) -> None:
        request = authenticate_request(self._address.user, self._address.password)
        try:
            answer = await self._send_once(place, AUTHENTICATE, request)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"etcd does not let this user in: {error.details()}") from error
        self._token = Fields(answer).one(2).decode()

    async def _ready(self) -> int:
        """Return the place of a member that can be called.

        Raises:
            Unavailable: None can be reached, or lets this user in.
        """
        place = await self._connected()
        if self._address.user and self._token is None:
            await self._authenticate(place)
        return place

    async def _connected(self) -> int:
        for _ in self._channels:
            place = self._preferred
            channel = self._channels[place]
            state = channel.get_state(try_to_connect=True)
            while state in {grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING}:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return place
            self._avoid(place)
        raise Unavailable(f"none of etcd's members can be reached: {self._address.members}")

    def avoid_current(self) -> None:
        """Ask another member first from now on: this one answers, but is behind."""
        self._avoid(self._preferred)

    def _avoid(self, place: int) -> None:
        """Ask another member first from now on, unless that is so already."""
        if place == self._preferred:
            self._preferred = (place + 1) % len(self._channels)

    def _failure(self, place: int, error: grpc.aio.AioRpcError) -> TidingsError:
        code, text = error.code(), error.details() or ""
        if code not in REFUSALS:
            self._avoid(place)
            return Indeterminate(f"etcd gave no answer: {code.name}: {text}")
        if any(each in text for each in TOO_LARGE):
            return InvalidRequest(
                f"etcd takes no request of this size ({text}): raise its --max-request-bytes"
            )
        if NO_SPACE in text:
            return Unavailable(
                "etcd is full: compact it, defragment every member, then disarm the alarm"
            )
        return Unavailable(f"etcd refused: {text}")

    # Watching -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def watch(self, request: bytes) -> AsyncIterator[AsyncIterable[bytes]]:
        """Yield what one member tells of a watch until it ends; nothing is resumed here.

        Raises:
            Unavailable: The watch ended, or cannot be begun.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                place = await self._ready()
        except TimeoutError as error:
            self._avoid(self._preferred)
            raise Unavailable("etcd did not answer in time") from error
        stub = self._channels[place].stream_stream(WATCH, _TEXTS, _TEXTS)
        call = stub(metadata=self._metadata())
        try:
            await call.write(request)
            yield call
        except grpc.aio.AioRpcError as error:
            self._avoid(place)
            if _is_old_token(error):
                self._token = None
            raise Unavailable(f"the watch ended: {error.details()}") from error
        finally:
            call.cancel()


def _is_old_token(error: grpc.aio.AioRpcError) -> bool:
    return any(each in (error.details() or "") for each in OLD_TOKEN)


def _channel(member: str, address: EtcdAddress) -> grpc.aio.Channel:
    options = list(CHANNEL_OPTIONS.items())
    if not address.is_encrypted:
        return grpc.aio.insecure_channel(member, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=address.ca, private_key=address.key, certificate_chain=address.cert
    )
    return grpc.aio.secure_channel(member, credentials, options=options)
