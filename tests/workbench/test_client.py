import asyncio
from typing import Any

import pytest
from in_process import FakeNode, Handler, Log, make_network

from tidings.testing.loop import run
from tidings.workbench.client import DEFINITE_ERRORS, Connection, InitOk, KafkaClient, RequestFailed
from tidings.workbench.operations import Completion, Operation
from tidings.workbench.services import Body

TIMEOUT_S = 5.0
POLL = Operation("poll", [["poll"]])


def send(key: str, message: int) -> Operation:
    return Operation("send", [["send", key, message]])


def assign(*keys: str, **more: Any) -> Operation:
    return Operation("assign", list(keys), **more)


def perform(
    handler: Handler, *operations: Operation, timeout_s: float = TIMEOUT_S
) -> tuple[list[Completion], list[Body]]:
    """Let one client do the operations on one node; return what came of them and its requests."""

    async def main() -> tuple[list[Completion], list[Body]]:
        network = make_network()
        node = FakeNode(network, "n0", handler)
        client = KafkaClient(Connection(network, "n0"), timeout_s=timeout_s)
        completions = [await client.perform(operation) for operation in operations]
        return completions, [
            {name: value for name, value in request.items() if name != "msg_id"}
            for request in node.requests
        ]

    return run(main())


def replies(**by_type: Body | None) -> Handler:
    return lambda body: by_type[body["type"]]


def error(code: int) -> Body:
    return {"type": "error", "code": code, "text": "no"}


def test_client_send_learns_its_offset() -> None:
    [completion], _ = perform(replies(send={"type": "send_ok", "offset": 7}), send("k", 3))
    assert completion == Completion("ok", [["send", "k", [7, 3]]])


def test_client_poll_commits_what_it_got_before_it_is_complete() -> None:
    log = Log()
    _, requests = perform(log.handle, send("k", 1), send("k", 2), assign("k"), POLL, POLL)
    assert requests[2:] == [
        {"type": "list_committed_offsets", "keys": ["k"]},
        {"type": "poll", "offsets": {"k": 0}},
        {"type": "commit_offsets", "offsets": {"k": 1}},
        {"type": "poll", "offsets": {"k": 2}},
    ]
    assert log.committed == {"k": 1}


def test_client_poll_reports_the_records_as_lists() -> None:
    log = Log()
    completions, _ = perform(log.handle, send("k", 1), assign("k"), POLL)
    assert completions[-1].value == [["poll", {"k": [[0, 1]]}]]


def test_client_poll_of_nothing_assigned_asks_for_nothing() -> None:
    [completion], requests = perform(Log().handle, POLL)
    assert completion == Completion("ok", [["poll", {}]])
    assert requests == [{"type": "poll", "offsets": {}}]


def test_client_poll_advances_past_holes() -> None:
    node = replies(
        poll={"type": "poll_ok", "msgs": {"k": [[3, "a"], [8, "b"]], "empty": []}},
        commit_offsets={"type": "commit_offsets_ok"},
        list_committed_offsets={"type": "list_committed_offsets_ok", "offsets": {}},
    )
    _, requests = perform(node, assign("k"), POLL, POLL)
    assert requests[2]["offsets"] == {"k": 8}
    assert requests[3] == {"type": "poll", "offsets": {"k": 9}}


def test_client_assign_prefers_the_held_offset_then_the_committed_one_then_zero() -> None:
    log = Log()
    log.messages = {"held": [1, 2], "new": [1], "committed": [1, 2, 3]}
    log.committed = {"committed": 2}
    operations = (assign("held"), POLL, assign("held", "committed", "new"), POLL)
    _, requests = perform(log.handle, *operations)
    assert requests[-2] == {"type": "poll", "offsets": {"held": 2, "committed": 2, "new": 0}}


def test_client_assign_forgets_keys_that_are_no_longer_assigned() -> None:
    log = Log()
    log.messages = {"a": [1, 2]}
    _, requests = perform(log.handle, assign("a"), POLL, assign("b"), POLL)
    assert requests[-1] == {"type": "poll", "offsets": {"b": 0}}


def test_client_assign_from_the_beginning_asks_nobody() -> None:
    log = Log()
    log.committed = {"a": 9}
    [completion, _], requests = perform(log.handle, assign("a", seek_to_beginning=True), POLL)
    assert completion == Completion("ok", ["a"])
    assert requests == [{"type": "poll", "offsets": {"a": 0}}]


def test_client_crash_is_info_and_asks_nobody() -> None:
    [completion], requests = perform(Log().handle, Operation("crash"))
    assert completion == Completion("info", None)
    assert requests == []


@pytest.mark.parametrize("code", sorted(DEFINITE_ERRORS))
def test_client_definite_error_is_a_failure(code: int) -> None:
    [completion], _ = perform(replies(send=error(code)), send("k", 1))
    assert completion == Completion("fail", [["send", "k", 1]], f"error {code}: no")


@pytest.mark.parametrize("code", [0, 13, 1000, 99])
def test_client_indefinite_error_is_info(code: int) -> None:
    [completion], _ = perform(replies(send=error(code)), send("k", 1))
    assert completion.type == "info"


def test_client_silence_is_info_after_the_timeout() -> None:
    async def main() -> tuple[float, Completion]:
        network = make_network()
        FakeNode(network, "n0", replies(send=None))
        client = KafkaClient(Connection(network, "n0"), timeout_s=TIMEOUT_S)
        completion = await client.perform(send("k", 1))
        return asyncio.get_running_loop().time(), completion

    now_s, completion = run(main())
    assert now_s == pytest.approx(TIMEOUT_S)
    assert completion == Completion("info", [["send", "k", 1]], "no reply in time")


@pytest.mark.parametrize("answer", [None, error(0), error(11), {"type": "init_ok"}])
def test_client_assign_that_goes_wrong_is_always_a_failure(answer: Body | None) -> None:
    [completion], _ = perform(replies(list_committed_offsets=answer), assign("k"))
    assert completion.type == "fail"


def test_client_failed_assign_keeps_what_was_assigned() -> None:
    answers = iter([{"type": "list_committed_offsets_ok", "offsets": {"a": 4}}, error(0)])
    requests: list[Body] = []

    def node(body: Body) -> Body:
        requests.append(body)
        return {"type": "poll_ok", "msgs": {}} if body["type"] == "poll" else next(answers)

    perform(node, assign("a"), assign("b"), POLL)
    assert requests[-1]["offsets"] == {"a": 4}


def test_client_poll_whose_commit_fails_is_not_ok_but_has_been_read() -> None:
    node = replies(
        poll={"type": "poll_ok", "msgs": {"k": [[0, 1]]}},
        commit_offsets=error(11),
        list_committed_offsets={"type": "list_committed_offsets_ok", "offsets": {}},
    )
    completions, requests = perform(node, assign("k"), POLL, POLL)
    assert completions[1] == Completion("fail", [["poll"]], "error 11: no")
    assert requests[3] == {"type": "poll", "offsets": {"k": 1}}


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "send_ok"},
        {"type": "send_ok", "offset": "7"},
        {"type": "send_ok", "offset": True},
        {"type": "poll_ok", "msgs": {}},
    ],
)
def test_client_malformed_reply_is_info_and_shown(answer: Body) -> None:
    [completion], _ = perform(replies(send=answer), send("k", 1))
    assert completion.type == "info"
    assert completion.error is not None
    assert "malformed reply" in completion.error
    assert answer["type"] in completion.error


def test_client_reply_to_an_earlier_request_is_ignored() -> None:
    """The first answer comes after its time-out, while the second request waits."""

    async def main() -> list[Completion]:
        network = make_network()

        def answer(body: Body) -> Body | None:
            if body["msg"] == 1:
                return None
            node.reply("c0", {"type": "send_ok", "offset": 1, "in_reply_to": 1})
            return {"type": "send_ok", "offset": 2}

        node = FakeNode(network, "n0", answer)
        client = KafkaClient(Connection(network, "n0"), timeout_s=TIMEOUT_S)
        return [await client.perform(send("k", 1)), await client.perform(send("k", 2))]

    first, second = run(main())
    assert first.type == "info"
    assert second == Completion("ok", [["send", "k", [2, 2]]])


def test_connection_that_is_closed_hears_nothing() -> None:
    async def main() -> None:
        network = make_network()
        node = FakeNode(network, "n0", replies(init=None))
        connection = Connection(network, "n0")
        connection.close()
        node.reply("c0", {"type": "init_ok", "in_reply_to": 1})
        with pytest.raises(RequestFailed, match="no reply in time"):
            await connection.request({"type": "init"}, InitOk, timeout_s=1)

    run(main())
