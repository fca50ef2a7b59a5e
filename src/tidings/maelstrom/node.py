"""The Maelstrom node: gives each message to whom it concerns and answers each request.

It knows neither stdio (see `tidings.maelstrom.stdio`) nor how a log is built (see
`tidings.maelstrom.designs`): lines come in through `receive`, lines go out through the function
it was made with, and the design is called through `tidings.maelstrom.design.Design`.

- N1  A request gets exactly one reply or error, within `REQUEST_TIMEOUT_S`; nothing else gets any.
- N2  An error is definite only when the design's failure is.
- N3  No message ends the node. Background work that fails does: a node without it would look
      alive and never again make progress.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from tidings.errors import Indeterminate, InvalidRequest, TidingsError, Unavailable
from tidings.maelstrom.design import Body, Design, Network
from tidings.maelstrom.protocol import (
    KAFKA_REQUESTS,
    CommitOffsets,
    ErrorCode,
    Header,
    Init,
    KafkaRequest,
    ListCommittedOffsets,
    Malformed,
    Message,
    OutstandingCalls,
    Poll,
    Send,
    decode,
    encode,
    error_body,
    error_of,
    parse,
)
from tidings.stores.maelstrom_kv import CallFailed
from tidings.types import Json

REQUEST_TIMEOUT_S = 4.5
"""A client waits 5 s: this leaves it the time to hear that the outcome is unknown."""

REQUESTS_IN_FLIGHT_MAX = 4_096
"""Client requests that are being worked on; one more is refused, definitely."""

FINISH_TIMEOUT_S = 1.0
"""How long a node that was told to end waits for the requests in flight."""

LOGGED_LINE_BYTES_MAX = 200
"""As much of a line that makes no sense as is logged."""

MakeDesign = Callable[[Network, random.Random], Design]

log = logging.getLogger(__name__)


class Peers:
    """The `Network` of a design: calls and sends through the node's own lines."""

    def __init__(
        self, node_id: str, node_ids: Sequence[str], write_line: Callable[[bytes], None]
    ) -> None:
        self.node_id = node_id
        self.node_ids = node_ids
        self._write_line = write_line
        self._calls: OutstandingCalls[asyncio.Future[Body]] = OutstandingCalls()

    async def call(self, destination: str, body: Body, *, timeout_s: float) -> Body:
        """Send a request and return the body of its reply; see `Network.call`.

        Raises:
            CallFailed: The reply was an error.
            Indeterminate: No reply came within `timeout_s` seconds.
            Unavailable: Too many calls are outstanding; this one was not sent.
        """
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Body] = loop.create_future()
        msg_id = self._calls.open(destination, reply)
        # Cheaper than `asyncio.timeout`, and there is a call for nearly each operation.
        patience = loop.call_later(timeout_s, _give_up, reply)
        try:
            self.send(destination, {**body, "msg_id": msg_id})
            return _checked(await reply)
        except _NoReply:
            raise Indeterminate(
                f"{destination} did not answer {body.get('type')} within {timeout_s:g} s"
            ) from None
        finally:
            patience.cancel()
            self._calls.close(msg_id)

    def send(self, destination: str, body: Body) -> None:
        """Send a message that expects no reply."""
        self._write_line(encode(self.node_id, destination, body))

    def take_reply(self, source: str, in_reply_to: int, body: Body) -> None:
        """Wake who waits for this reply. One that nobody waits for is too late, and no matter."""
        reply = self._calls.match(source, in_reply_to)
        if reply is not None and not reply.done():
            reply.set_result(body)


class _NoReply(Exception):
    """No reply came in time."""


def _give_up(reply: asyncio.Future[Body]) -> None:
    if not reply.done():
        reply.set_exception(_NoReply())


def _checked(reply: Body) -> Body:
    if reply.get("type") != "error":
        return reply
    code = reply.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        code = ErrorCode.CRASH
    raise CallFailed(code, str(reply.get("text", "")))


class Node:
    """One node. Enter `run`, give it lines with `receive`, end it with `finish`."""

    def __init__(
        self, make_design: MakeDesign, rng: random.Random, write_line: Callable[[bytes], None]
    ) -> None:
        self._make_design = make_design
        self._rng = rng
        self._write_line = write_line
        # None until `init`; never changes after it.
        self._peers: Peers | None = None
        # None until it is made, soon after `init`; never changes after that.
        self._design: Design | None = None
        self._is_made = asyncio.Event()
        # Where requests and background work run; None before `run` and after it.
        self._tasks: asyncio.TaskGroup | None = None
        self._background: asyncio.Task[None] | None = None
        # Client requests without a reply, by a number of their own.
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._request_count = 0
        self._idle = asyncio.Event()
        self._finishing = asyncio.Event()

    async def run(self) -> None:
        """Serve until `finish` was called and the requests in flight are answered or given up.

        Raises:
            ExceptionGroup: The design's background work failed.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._finishing.wait()
            await self._await_requests()
            self._tasks = None
            for task in self._in_flight.values():
                task.cancel()
            if self._background is not None:
                self._background.cancel()

    async def _await_requests(self) -> None:
        if not self._in_flight:
            return
        self._idle.clear()
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("gave up %d requests in flight", len(self._in_flight))

    def finish(self) -> None:
        """Make `run` return soon."""
        self._finishing.set()

    def receive(self, line: bytes) -> None:
        """Take one line. Never raises."""
        try:
            message = decode(line)
        except Malformed as malformed:
            log.warning("%s: %r", malformed, line[:LOGGED_LINE_BYTES_MAX])
            if malformed.request is not None:
                self._answer(
                    malformed.request, error_body(ErrorCode.MALFORMED_REQUEST, str(malformed))
                )
            return
        self._dispatch(message)

    def _dispatch(self, message: Message) -> None:
        request = message.request
        if message.in_reply_to is not None:
            if self._peers is not None:
                self._peers.take_reply(message.src, message.in_reply_to, message.body)
        elif self._is_from_peer(message):
            self._hand_to_design(message)
        elif request is None:
            log.warning("nothing to answer in %s from %s", message.type or "a message", message.src)
        else:
            self._handle_request(request, message)

    def _is_from_peer(self, message: Message) -> bool:
        return (
            self._peers is not None
            and message.src in self._peers.node_ids
            and message.type not in KAFKA_REQUESTS
            and message.type != "init"
        )

    def _hand_to_design(self, message: Message) -> None:
        if self._design is None:
            return  # as if it had been lost
        try:
            self._design.handle_message(message.src, message.body)
        except Exception:
            log.exception("could not handle %s from %s", message.type, message.src)

    def _handle_request(self, request: Header, message: Message) -> None:
        try:
            if message.type == "init":
                tasks = self._init(parse(message.body, Init))
                self._answer(request, {"type": "init_ok"})
                # Last, for making a design may mean to import it: the answer goes out before.
                self._background = tasks.create_task(self._live())
            elif message.type in KAFKA_REQUESTS:
                self._start(request, parse(message.body, KAFKA_REQUESTS[message.type]))
            else:
                self._answer(request, _not_supported(message.body.get("type")))
        except TidingsError as failure:
            self._answer(request, error_of(failure))

    def _init(self, init: Init) -> asyncio.TaskGroup:
        if self._peers is not None:
            raise InvalidRequest(f"this node is {self._peers.node_id} already; init comes once")
        if self._tasks is None:
            raise Unavailable("this node is ending")
        self._peers = Peers(init.node_id, tuple(init.node_ids), self._write_line)
        return self._tasks

    async def _live(self) -> None:
        """Make the design, and do its background work until cancelled."""
        assert self._peers is not None, "a node lives from its init on"
        self._design = self._make_design(self._peers, self._rng)
        self._is_made.set()
        await self._design.run()

    def _start(self, header: Header, request: KafkaRequest) -> None:
        if self._peers is None:
            raise Unavailable("this node does not know who it is yet; send init first")
        if self._tasks is None:
            raise Unavailable("this node is ending; ask another one")
        if len(self._in_flight) >= REQUESTS_IN_FLIGHT_MAX:
            raise Unavailable(f"{REQUESTS_IN_FLIGHT_MAX} requests are in flight; try again later")
        self._request_count += 1
        number = self._request_count
        self._in_flight[number] = self._tasks.create_task(self._serve(number, header, request))

    async def _serve(self, number: int, header: Header, request: KafkaRequest) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._is_made.wait()
                assert self._design is not None, "it is made"
                reply = await _ask(self._design, request)
        except TimeoutError:
            reply = error_body(
                ErrorCode.TIMEOUT, f"not settled within {REQUEST_TIMEOUT_S} s; it may still happen"
            )
        except TidingsError as failure:
            reply = error_of(failure)
        except Exception as error:
            log.exception("a %s request failed", type(request).__name__)
            reply = error_body(ErrorCode.CRASH, f"unexpected failure: {error!r}")
        finally:
            del self._in_flight[number]
            if not self._in_flight:
                self._idle.set()
        self._answer(header, reply)

    def _answer(self, request: Header, body: Body) -> None:
        source = self._peers.node_id if self._peers is not None else request.destination
        try:
            line = encode(source, request.source, {**body, "in_reply_to": request.msg_id})
        except Exception as error:
            log.exception("could not write a reply to %s", request.source)
            crash = error_body(ErrorCode.CRASH, f"the reply could not be written: {error!r}")
            line = encode(source, request.source, {**crash, "in_reply_to": request.msg_id})
        self._write_line(line)


async def _ask(design: Design, request: KafkaRequest) -> Body:
    match request:
        case Send(key, msg):
            return {"type": "send_ok", "offset": await design.send(key, msg)}
        case Poll(offsets):
            return {"type": "poll_ok", "msgs": await design.poll(offsets)}
        case CommitOffsets(offsets):
            await design.commit_offsets(offsets)
            return {"type": "commit_offsets_ok"}
        case ListCommittedOffsets(keys):
            found = await design.list_committed_offsets(keys)
            return {"type": "list_committed_offsets_ok", "offsets": found}


def _not_supported(name: Json) -> Body:
    if not isinstance(name, str):
        return error_body(ErrorCode.MALFORMED_REQUEST, f"`type` must be a string, not {name!r:.80}")
    known = ", ".join(["init", *KAFKA_REQUESTS])
    return error_body(ErrorCode.NOT_SUPPORTED, f"no request type {name!r:.80}; known: {known}")
