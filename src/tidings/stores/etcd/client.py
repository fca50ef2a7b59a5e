"""Calls to the members of an etcd cluster, with a deadline; what errors mean.

A call goes to the member that answered last. If nobody listens there, or it lets nobody in for a
part of the deadline (`tidings.stores.etcd.members` says how long), nothing was sent, and another
one is asked. A call that was sent and got no answer may have been carried out: it is sent again, to
another member, only if its caller said that it may be; else the next call goes there.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from tidings.errors import Indeterminate, InvalidRequest, TidingsError, Unavailable
from tidings.stores.etcd.address import EtcdAddress
from tidings.stores.etcd.members import Members
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

ROUNDS = 2
"""A call that may be repeated is sent so often for each member, if its deadline allows."""

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
        self._now = asyncio.get_running_loop().time
        self._members = Members(len(self._channels), timeout_s=timeout_s, now=self._now)
        self._token: str | None = None

    async def close(self) -> None:
        """Close all connections; calls that wait fail."""
        for channel in self._channels:
            await channel.close()

    async def call(self, method: str, request: bytes, *, may_repeat: bool = False) -> bytes:
        """Send a request to one member, once, and return its answer.

        With `may_repeat` it is sent again, to others, while none answers: for requests that do
        the same however often, and however late, they are carried out.

        Raises:
            InvalidRequest: It is larger than the cluster takes; nothing was done.
            Unavailable: It was refused, or no member can be reached; nothing was done, unless an
                earlier try of this call was.
            Indeterminate: No answer; it may have been carried out, or still be.
        """
        deadline = self._now() + self._timeout_s
        for _ in range(ROUNDS * len(self._channels) - 1 if may_repeat else 0):
            try:
                return await self._try(method, request, deadline)
            except Indeterminate:
                if self._now() >= deadline:
                    raise
        return await self._try(method, request, deadline)

    async def _try(self, method: str, request: bytes, deadline: float) -> bytes:
        place = await self._ready(deadline)
        asked_at = self._now()
        try:
            async with asyncio.timeout_at(self._until(place, deadline)):
                answer = await self._send(place, method, request)
        except TimeoutError:
            self._members.note_silence(place, asked_at)
            member = self._address.members[place]
            raise Indeterminate(f"etcd at {member} did not answer in time") from None
        self._members.note_answer(place, asked_at)
        return answer

    def _until(self, place: int, deadline: float) -> float:
        """Return the loop time until which to wait for a member."""
        return min(self._now() + self._members.patience_s(place), deadline)

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
            if error.code() not in REFUSALS:
                raise
            raise Unavailable(f"etcd does not let this user in: {error.details()}") from error
        self._token = Fields(answer).one(2).decode()

    async def _ready(self, deadline: float) -> int:
        """Return the place of a member that can be called, the current one from now on.

        Raises:
            Unavailable: None can be reached, or lets this user in.
        """
        for place in self._members.in_order():
            asked_at = self._now()
            try:
                async with asyncio.timeout_at(self._until(place, deadline)):
                    is_ready = await self._lets_in(place)
            except TimeoutError:
                self._members.note_silence(place, asked_at)
                if self._now() >= deadline:
                    break
            else:
                if is_ready:
                    self._members.move_to(place)
                    return place
        raise Unavailable(f"none of etcd's members can be reached: {self._address.members}")

    async def _lets_in(self, place: int) -> bool:
        """Wait until a member can be called; return False if nobody is there.

        Raises:
            Unavailable: It does not let this user in.
        """
        if not await self._connects(place):
            return False
        if self._address.user and self._token is None:
            try:
                await self._authenticate(place)
            except grpc.aio.AioRpcError:
                return False
        return True

    async def _connects(self, place: int) -> bool:
        """Wait until there is a connection to a member; return False if there cannot be."""
        channel = self._channels[place]
        state = channel.get_state(try_to_connect=True)
        while state in {grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING}:
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY

    def move_on(self) -> None:
        """Ask another member first from now on: this one answers, but is behind."""
        self._members.move_on(self._members.current)

    def _failure(self, place: int, error: grpc.aio.AioRpcError) -> TidingsError:
        code, text = error.code(), error.details() or ""
        if code not in REFUSALS:
            self._members.move_on(place)
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
    async def watch(self, request: bytes) -> AsyncIterator[tuple[int, AsyncIterable[bytes]]]:
        """Yield the place of a member, and what it tells of a watch until that ends.

        Nothing is resumed here. A member that hangs tells nothing: see `left`.

        Raises:
            Unavailable: The watch ended, or cannot be begun.
        """
        place = await self._ready(self._now() + self._timeout_s)
        stub = self._channels[place].stream_stream(WATCH, _TEXTS, _TEXTS)
        call = stub(metadata=self._metadata())
        try:
            await call.write(request)
            yield place, call
        except grpc.aio.AioRpcError as error:
            self._members.move_on(place)
            if _is_old_token(error):
                self._token = None
            raise Unavailable(f"the watch ended: {error.details()}") from error
        finally:
            call.cancel()

    async def left(self, place: int) -> None:
        """Return as soon as calls go to another member than this one: it is silent, or gone."""
        await self._members.left(place)


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
