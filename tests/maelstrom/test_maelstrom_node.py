"""The node: who gets which message, and that every request gets its one answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.errors import Fenced, Indeterminate, InvalidRequest, Unavailable
from tidings.maelstrom import node as node_module
from tidings.maelstrom.design import Body, Network, Polled
from tidings.maelstrom.node import FINISH_TIMEOUT_S, REQUEST_TIMEOUT_S, Node
from tidings.stores.maelstrom_kv import CallFailed
from tidings.testing import loop as virtual_time

INIT = {"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]}


class Scripted:
    """A design that does what the message says."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.heard: list[tuple[str, Body]] = []
        self.background = asyncio.Event()
        self.release = asyncio.Event()

    async def run(self) -> None:
        await self.background.wait()
        raise OSError("the disk is on fire")

    async def send(self, key: str, message: Any) -> int:
        del key
        if message == "hang":
            await self.release.wait()
        return cast("int", object()) if message == "unwritable" else 7

    async def poll(self, offsets: Mapping[str, int]) -> Polled:
        return {key: [(offset, [None, 1.5, 2**70])] for key, offset in offsets.items()}

    async def commit_offsets(self, offsets: Mapping[str, int]) -> None:
        raise Fenced(str(offsets))

    async def list_committed_offsets(self, keys: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(keys, 3)

    def handle_message(self, source: str, body: Body) -> None:
        self.heard.append((source, body))
        if body.get("type") == "bad":
            raise KeyError("bad")


class Harness:
    """A running node with its lines."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.design: Scripted | None = None
        self.node = Node(self._make, Random(0), self._write)

    def _make(self, network: Network, rng: Random) -> Scripted:
        del rng
        self.design = Scripted(network)
        return self.design

    def _write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.replies.append(msgspec.json.decode(line))

    def tell(self, body: Body, source: str = "c1") -> None:
        self.node.receive(msgspec.json.encode({"src": source, "dest": "n1", "body": body}))

    async def ask(self, body: Body, source: str = "c1") -> dict[str, Any]:
        """Return the body of the one reply that comes next."""
        count = len(self.replies)
        self.tell(body, source)
        await asyncio.sleep(0.001)
        [reply] = self.replies[count:]
        assert (reply["src"], reply["dest"]) == ("n1", source)
        answer: dict[str, Any] = reply["body"]
        assert answer.pop("in_reply_to") == body["msg_id"]
        return answer

    async def scripted(self) -> Scripted:
        assert await self.ask(INIT) == {"type": "init_ok"}
        assert self.design is not None
        return self.design


@asynccontextmanager
async def running() -> AsyncIterator[Harness]:
    harness = Harness()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(harness.node.run())
        await asyncio.sleep(0)
        yield harness
        harness.node.finish()


def test_node_each_request_gets_its_reply() -> None:
    async def main() -> None:
        async with running() as node:
            await node.scripted()
            send = {"type": "send", "msg_id": 2, "key": "k", "msg": 1}
            assert await node.ask(send) == {"type": "send_ok", "offset": 7}
            poll = {"type": "poll", "msg_id": 3, "offsets": {"k": 4}}
            pairs = [[4, [None, 1.5, 2**70]]]
            assert await node.ask(poll) == {"type": "poll_ok", "msgs": {"k": pairs}}
            listing = {"type": "list_committed_offsets", "msg_id": 4, "keys": ["k"]}
            assert (await node.ask(listing))["offsets"] == {"k": 3}
            commit = {"type": "commit_offsets", "msg_id": 5, "offsets": {"k": 1}}
            assert (await node.ask(commit))["code"] == 14

    virtual_time.run(main())


def test_node_before_init_refuses_definitely_and_says_what_to_do() -> None:
    async def main() -> None:
        async with running() as node:
            reply = await node.ask({"type": "poll", "msg_id": 9, "offsets": {}})
            assert reply["code"] == 11
            assert "init" in reply["text"]

    virtual_time.run(main())


def test_node_second_init_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            again = {"type": "init", "msg_id": 2, "node_id": "n9", "node_ids": ["n9"]}
            assert (await node.ask(again))["code"] == 12
            assert design.network.node_id == "n1"
            assert node.design is design

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "frobnicate"}, 10),
        ({"type": None}, 12),
        ({}, 12),
        ({"type": "send", "key": "k"}, 12),
        ({"type": "poll", "offsets": {"k": -1}}, 12),
        ({"type": "init", "node_id": 1}, 12),
    ],
)
def test_node_wrong_request_gets_the_protocols_error(body: Body, code: int) -> None:
    async def main() -> None:
        async with running() as node:
            await node.scripted()
            reply = await node.ask({**body, "msg_id": 2})
            assert reply["type"] == "error"
            assert reply["code"] == code
            assert reply["text"]

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (InvalidRequest("x"), 12),
        (Unavailable("x"), 11),
        (Indeterminate("x"), 0),
        (CallFailed(22, "x"), 13),
        (ZeroDivisionError("x"), 13),
        (ExceptionGroup("x", [Unavailable("x")]), 13),
    ],
)
def test_node_failure_of_the_design_is_as_definite_as_it_was(
    failure: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        def fail(*arguments: object) -> None:
            del arguments
            raise failure

        async with running() as node:
            monkeypatch.setattr(await node.scripted(), "send", fail)
            send = {"type": "send", "msg_id": 2, "key": "k", "msg": 1}
            assert (await node.ask(send))["code"] == code
            assert (await node.ask({"type": "poll", "msg_id": 3, "offsets": {}}))["type"]

    virtual_time.run(main())


def test_node_reply_that_cannot_be_written_is_indefinite() -> None:
    async def main() -> None:
        async with running() as node:
            await node.scripted()
            send = {"type": "send", "msg_id": 2, "key": "k", "msg": "unwritable"}
            assert (await node.ask(send))["code"] == 13

    virtual_time.run(main())


def test_node_design_that_hangs_is_answered_before_the_client_gives_up() -> None:
    async def main() -> None:
        async with running() as node:
            await node.scripted()
            node.tell({"type": "send", "msg_id": 2, "key": "k", "msg": "hang"})
            await asyncio.sleep(REQUEST_TIMEOUT_S + 0.1)
            assert REQUEST_TIMEOUT_S + 0.1 < 5
            assert node.replies[-1]["body"]["code"] == 0

    virtual_time.run(main())


def test_node_too_many_requests_are_refused_definitely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "REQUESTS_IN_FLIGHT_MAX", 2)

    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            for number in (2, 3):
                node.tell({"type": "send", "msg_id": number, "key": "k", "msg": "hang"})
            send = {"type": "send", "msg_id": 4, "key": "k", "msg": 1}
            assert (await node.ask(send))["code"] == 11
            design.release.set()
            await asyncio.sleep(0.001)
            assert (await node.ask({**send, "msg_id": 5}))["type"] == "send_ok"

    virtual_time.run(main())


def test_node_message_of_a_peer_goes_to_the_design_unanswered() -> None:
    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            before = list(node.replies)
            node.tell({"type": "gossip", "x": 1}, source="n2")
            node.tell({"type": "bad"}, source="n2")
            node.tell({"type": "ask", "msg_id": 5}, source="n2")
            node.tell({"type": "gossip", "x": 1}, source="n3")
            await asyncio.sleep(1)
            assert [source for source, _ in design.heard] == ["n2", "n2", "n2"]
            assert node.replies == before

    virtual_time.run(main())


def test_node_call_returns_the_reply_of_whom_was_asked() -> None:
    async def main() -> None:
        async with running() as node, asyncio.TaskGroup() as tasks:
            design = await node.scripted()
            call = tasks.create_task(
                design.network.call("lin-kv", {"type": "read", "key": "k"}, timeout_s=1)
            )
            await asyncio.sleep(0.5)
            request = node.replies[-1]
            msg_id = request["body"]["msg_id"]
            assert request["dest"] == "lin-kv"
            node.tell({"type": "read_ok", "in_reply_to": msg_id, "value": "no"}, source="seq-kv")
            node.tell({"type": "read_ok", "in_reply_to": msg_id, "value": "yes"}, source="lin-kv")
            assert (await call)["value"] == "yes"

    virtual_time.run(main())


@pytest.mark.parametrize(
    ("reply", "code"),
    [({"code": 22, "text": "t"}, 22), ({"code": "22"}, 13), ({"code": True}, 13), ({}, 13)],
)
def test_node_call_that_gets_an_error_raises_its_code(reply: Body, code: int) -> None:
    async def main() -> None:
        async with running() as node, asyncio.TaskGroup() as tasks:
            design = await node.scripted()

            async def call() -> int:
                try:
                    await design.network.call("lin-kv", {"type": "cas"}, timeout_s=1)
                except CallFailed as failed:
                    return failed.code
                return -1

            calling = tasks.create_task(call())
            await asyncio.sleep(0.1)
            msg_id = node.replies[-1]["body"]["msg_id"]
            node.tell({"type": "error", "in_reply_to": msg_id, **reply}, source="lin-kv")
            assert await calling == code

    virtual_time.run(main())


def test_node_call_without_a_reply_is_indeterminate_and_a_late_reply_is_nothing() -> None:
    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            with pytest.raises(Indeterminate, match="lin-kv"):
                await design.network.call("lin-kv", {"type": "cas"}, timeout_s=1)
            msg_id = node.replies[-1]["body"]["msg_id"]
            node.tell({"type": "cas_ok", "in_reply_to": msg_id}, source="lin-kv")

    virtual_time.run(main())


def test_node_background_failure_ends_the_node_with_its_reason() -> None:
    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            design.background.set()
            await asyncio.sleep(1)

    with pytest.raises(ExceptionGroup) as caught:
        virtual_time.run(main())
    assert caught.group_contains(OSError, match="on fire")


def test_node_finish_answers_what_is_in_flight_first() -> None:
    async def main() -> None:
        async with running() as node:
            design = await node.scripted()
            node.tell({"type": "send", "msg_id": 2, "key": "k", "msg": "hang"})
            await asyncio.sleep(0)
            node.node.finish()
            await asyncio.sleep(FINISH_TIMEOUT_S / 2)
            design.release.set()
        assert node.replies[-1]["body"] == {"type": "send_ok", "offset": 7, "in_reply_to": 2}

    virtual_time.run(main())


def test_node_finish_gives_up_what_hangs_without_an_answer() -> None:
    async def main() -> float:
        async with running() as node:
            await node.scripted()
            node.tell({"type": "send", "msg_id": 2, "key": "k", "msg": "hang"})
            await asyncio.sleep(0)
        assert node.replies[-1]["body"]["type"] == "init_ok"
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == pytest.approx(FINISH_TIMEOUT_S, abs=0.1)


hostile_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
hostile_values = st.recursive(
    hostile_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
hostile_bodies = st.dictionaries(
    st.sampled_from(["type", "msg_id", "in_reply_to", "key", "msg", "offsets", "keys", "node_id"]),
    st.sampled_from(["send", "poll", "init", "commit_offsets", "error", "gossip", -1, {"k": -1}])
    | hostile_values,
)
hostile_lines = st.binary(max_size=30) | st.builds(
    lambda src, body: msgspec.json.encode({"src": src, "dest": "n1", "body": body}),
    st.sampled_from(["c1", "n2", "lin-kv", ""]) | hostile_values,
    hostile_bodies | hostile_values,
)


@settings(max_examples=80)
@given(st.lists(hostile_lines, max_size=8))
def test_node_hostile_lines_never_end_it_and_only_requests_are_answered(lines: list[bytes]) -> None:
    async def main() -> None:
        async with running() as node:
            await node.scripted()
            node.replies.clear()
            for line in lines:
                node.node.receive(line)
            await asyncio.sleep(REQUEST_TIMEOUT_S + 1)
            answers = [reply["body"]["in_reply_to"] for reply in node.replies]
            assert answers == [msg_id for line in lines if (msg_id := owed(line)) is not None]
            node.replies.clear()
            send = {"type": "send", "msg_id": 2, "key": "k", "msg": 1}
            assert (await node.ask(send))["type"] == "send_ok"

    virtual_time.run(main())


def owed(line: bytes) -> int | None:
    """Return the `msg_id` that an answer to `line` must name, told independently of the node."""
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    match message:
        case {"src": str(source), "dest": "n1", "body": {"msg_id": int(msg_id), **body}}:
            peer = source in ("n1", "n2")
            ours = body.get("type") in ("init", "send", "poll", "commit_offsets")
            is_request = body.get("in_reply_to") is None and not isinstance(msg_id, bool)
            return msg_id if is_request and (ours or not peer) else None
        case _:
            return None
