"""Faults that a test asks a real broker for: they happen to the next requests of an API.

They stand between the connections and the handlers, in the place of
`tidings.kafka.answering.answer`, and only in brokers that tests start.
"""

import asyncio
import threading
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType

from kio.schema.errors import ErrorCode

from tidings.errors import InvalidRequest
from tidings.kafka.answering import Answerer, Begun, Peer, Pending, answer, begin, response
from tidings.kafka.apis import APIS
from tidings.kafka.broker import Broker
from tidings.kafka.codec import Buffers, decode
from tidings.testing.error_answers import check_answerable, error_answer

_MODULES = {api.module.replace("_", ""): api.module for api in APIS}


class Kind(Enum):
    """What happens to a request."""

    DELAY = auto()
    """It is carried out, and its answer comes late."""
    ERROR = auto()
    """It is not carried out, and answered with an error code."""
    DROP = auto()
    """It is not carried out, and its connection stays silent from then on."""
    CUT = auto()
    """Its connection is cut before it is carried out."""
    CUT_BEFORE_REPLY = auto()
    """It is carried out, and its connection is cut before it is answered."""


class Fault:
    """What happens to the next requests of an API. Leaving its `with` block ends it early."""

    def __init__(
        self,
        kind: Kind,
        api: str,
        times: int,
        end: Callable[["Fault"], None],
        *,
        seconds: float = 0.0,
        code: ErrorCode = ErrorCode.none,
    ) -> None:
        """Prepare it; `end` lets it happen no more.

        Raises:
            InvalidRequest: There is no such API, or it has no answer with an error.
        """
        self.kind = kind
        self.module = module_of(api)
        if kind is Kind.ERROR:
            check_answerable(self.module)
        self.times_left = times
        self.seconds = seconds
        self.code = code
        self._end = end
        self._hits = 0
        self._changed = threading.Condition()

    @property
    def hits(self) -> int:
        """How often it has happened."""
        return self._hits

    def wait(self, hits: int = 1, *, timeout_s: float = 10.0) -> None:
        """Return once it has happened so often.

        Raises:
            TimeoutError: It has not, in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._hits >= hits, timeout_s):
                raise TimeoutError(
                    f"{self._hits} requests of {self.module} came in {timeout_s} s, not {hits}"
                )

    def end(self) -> None:
        """Let it happen no more."""
        self._end(self)

    def hit(self) -> None:
        """Count; called by the broker."""
        with self._changed:
            self._hits += 1
            self._changed.notify_all()

    def __enter__(self) -> "Fault":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.end()


class Faults:
    """All faults of a broker. Lives in the broker's thread."""

    def __init__(self) -> None:
        # In the order in which they were asked for.
        self._waiting: dict[Fault, None] = {}
        # Of connections that stay silent.
        self._silent: list[Peer] = []
        self._going = asyncio.Event()
        self._going.set()
        # Requests that were left to `_answer` and are not answered.
        self._under_way = 0

    def add(self, fault: Fault) -> None:
        """Let it happen from now on."""
        self._waiting[fault] = None

    def remove(self, fault: Fault) -> None:
        """Let it happen no more."""
        self._waiting.pop(fault, None)

    def pause(self) -> None:
        """Let all requests wait."""
        self._going.clear()

    def go_on(self) -> None:
        """Let requests wait no more."""
        self._going.set()

    def clear(self) -> None:
        """Let nothing happen any more."""
        self._waiting.clear()
        self._silent.clear()
        self.go_on()

    @property
    def answerer(self) -> Answerer:
        """What answers requests as the broker's own does, unless a fault is for them."""
        return Answerer(self._answer, self._begin)

    def _begin(self, broker: Broker, peer: Peer, pending: Pending) -> Begun | None:
        """Leave it to `_answer` if a fault may be for it, or if it could overtake another."""
        is_calm = not (self._waiting or self._silent or self._under_way) and self._going.is_set()
        begun = begin(broker, peer, pending) if is_calm else None
        if begun is None:
            self._under_way += 1
        return begun

    async def _answer(
        self, broker: Broker, peer: Peer, pending: Pending, answer_bytes_max: int
    ) -> Buffers:
        try:
            return await self._answer_or_fail(broker, peer, pending, answer_bytes_max)
        finally:
            self._under_way -= 1

    async def _answer_or_fail(
        self, broker: Broker, peer: Peer, pending: Pending, answer_bytes_max: int
    ) -> Buffers:
        if any(peer is silent for silent in self._silent):
            await _nothing()
        await self._going.wait()
        fault = self._take(pending.api.module)
        if fault is None:
            return await answer(broker, peer, pending, answer_bytes_max)
        if fault.kind is Kind.CUT_BEFORE_REPLY:
            await answer(broker, peer, pending, answer_bytes_max)
        fault.hit()
        match fault.kind:
            case Kind.CUT | Kind.CUT_BEFORE_REPLY:
                raise InvalidRequest("a test wants the connection cut")
            case Kind.DROP:
                self._silent.append(peer)
                return await _nothing()
            case Kind.ERROR:
                return _error(pending, fault.code)
            case Kind.DELAY:
                buffers = await answer(broker, peer, pending, answer_bytes_max)
                await asyncio.sleep(fault.seconds)
                return buffers

    def _take(self, module: str) -> Fault | None:
        """Return the oldest fault for an API, and count it down."""
        fault = next((fault for fault in self._waiting if fault.module == module), None)
        if fault is not None:
            fault.times_left -= 1
            if fault.times_left == 0:
                self.remove(fault)
        return fault


def module_of(api: str) -> str:
    """Return our name of an API from Kafka's, such as Produce or OffsetCommit.

    Raises:
        InvalidRequest: There is no such API here.
    """
    module = _MODULES.get(api.replace("_", "").lower())
    if module is None:
        raise InvalidRequest(f"there is no API {api!r} here: say Produce, Fetch, OffsetCommit, …")
    return module


def code_of_name(name: str) -> ErrorCode:
    """Return an error code from Kafka's name of it, such as NOT_LEADER_OR_FOLLOWER.

    Raises:
        InvalidRequest: There is no such code.
    """
    try:
        return ErrorCode[name.lower()]
    except KeyError:
        raise InvalidRequest(
            f"Kafka has no error {name!r}: NOT_LEADER_OR_FOLLOWER is one"
        ) from None


def _error(pending: Pending, code: ErrorCode) -> Buffers:
    api, prefix, frame = pending.api, pending.prefix, pending.frame
    request = decode(api.module, prefix.api_version, frame).body
    if api.module == "produce" and request.acks == 0:
        return ()
    return response(api, prefix, error_answer(api.module, request, code))


async def _nothing() -> Buffers:
    """Wait until the connection is gone."""
    silence: asyncio.Future[Buffers] = asyncio.get_running_loop().create_future()
    return await silence
