"""Offsets: the counter, the index, the committed ones; and the names of what is kept."""

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_services import Loss, ScriptedNetwork, Services, is_first

from tidings.errors import Indeterminate
from tidings.maelstrom import layout, news, offset_index
from tidings.maelstrom.bounded import LruCache
from tidings.maelstrom.committed_offsets import CommittedOffsets
from tidings.maelstrom.design import Body
from tidings.maelstrom.news import News
from tidings.maelstrom.offset_counter import OffsetCounter
from tidings.maelstrom.offset_index import HOLE_PATIENCE_S, OffsetIndex
from tidings.testing.loop import run


def calls_of(network: ScriptedNetwork) -> list[Any]:
    return [body["type"] for _, body in network.calls]


def test_counter_right_guess_takes_one_call() -> None:
    async def main() -> None:
        network = ScriptedNetwork(Services())
        counter = OffsetCounter(network, Random(0))
        assert await counter.take("k", 3, guess=0) == range(3)
        assert await counter.take("k", 2, guess=3) == range(3, 5)
        assert calls_of(network) == ["cas", "cas"]
        assert await counter.read("k") == 5
        assert await counter.read("other") == 0

    run(main())


@pytest.mark.parametrize("guess", [0, 1, 9])
def test_counter_wrong_guess_is_corrected(guess: int) -> None:
    async def main() -> None:
        services = Services()
        services.put("lin-kv", "next_k", 4)
        counter = OffsetCounter(ScriptedNetwork(services), Random(0))
        assert await counter.take("k", 2, guess=guess) == range(4, 6)

    run(main())


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.REPLY])
def test_counter_nodes_never_take_the_same_offset(loss: Loss) -> None:
    async def main() -> None:
        services = Services()
        taken: list[int] = []

        async def take(number: int) -> None:
            network = ScriptedNetwork(services, f"n{number}")
            network.lose = is_first("lin-kv", "cas", loss)
            counter = OffsetCounter(network, Random(number))
            for _ in range(3):
                taken.extend(await counter.take("k", 2, guess=len(taken)))

        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(take(number))
        assert len(taken) == len(set(taken)) == 24

    run(main())


def test_committed_offsets_never_move_back() -> None:
    async def main() -> None:
        services = Services()
        one = CommittedOffsets(ScriptedNetwork(services, "n0"), Random(0))
        other = CommittedOffsets(ScriptedNetwork(services, "n1"), Random(1))
        await one.commit({"k": 7, "z": 0})
        await other.commit({"k": 3})
        assert await one.list(["k", "z", "unknown"]) == {"k": 7, "z": 0}
        await other.commit({"k": 9})
        await one.commit({"k": 8})
        assert await other.list(["k"]) == {"k": 9}
        assert services.value("lin-kv", "co_k") == 9

    run(main())


def test_committed_offsets_of_one_node_cost_one_call_each_and_none_twice() -> None:
    async def main() -> None:
        network = ScriptedNetwork(Services())
        committed = CommittedOffsets(network, Random(0))
        for offset in (1, 2, 2, 1, 5):
            await committed.commit({"k": offset})
        assert calls_of(network) == ["cas", "cas", "cas"]

    run(main())


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.REPLY])
def test_committed_offset_is_there_when_an_answer_was_lost(loss: Loss) -> None:
    async def main() -> None:
        network = ScriptedNetwork(Services())
        network.lose = is_first("lin-kv", "cas", loss)
        committed = CommittedOffsets(network, Random(0))
        await committed.commit({"k": 4})
        assert await committed.list(["k"]) == {"k": 4}

    run(main())


def test_committed_offsets_of_which_one_fails_are_indeterminate() -> None:
    async def main() -> None:
        network = ScriptedNetwork(Services())

        def lose(service: str, body: Body) -> Loss:
            del service
            return Loss.REQUEST if body["key"] == "co_bad" else Loss.NOTHING

        network.lose = lose
        committed = CommittedOffsets(network, Random(0))
        with pytest.raises(Indeterminate):
            await committed.commit({"bad": 4, "good": 5})
        assert await committed.list(["good"]) == {"good": 5}
        with pytest.raises(Indeterminate):
            await committed.list(["good", "bad"])

    run(main())


def test_index_missing_offset_is_overdue_only_after_patience() -> None:
    index = OffsetIndex()
    index.add(2)
    assert index.overdue([0, 1], now=100) == []
    assert index.overdue([0, 1], now=100 + HOLE_PATIENCE_S - 0.1) == []
    assert index.overdue([0, 1], now=100 + HOLE_PATIENCE_S) == [0, 1]


def test_index_offset_given_out_later_has_its_own_patience() -> None:
    index = OffsetIndex()
    index.learn_end(2)
    assert index.overdue([1], now=100) == []
    index.learn_end(4)
    assert index.overdue([1, 2, 3], now=101.5) == [1]
    assert index.overdue([2, 3], now=101.6) == []
    assert index.overdue([2, 3], now=103.2) == [2, 3]


def test_index_known_offset_is_never_overdue() -> None:
    index = OffsetIndex()
    index.add(0)
    index.add(3)
    assert index.overdue([0, 1], now=100) == []
    assert index.overdue([0, 1, 2], now=200) == [1, 2]
    assert index.overdue([0], now=300) == []


def test_index_pruned_offsets_are_forgotten_and_not_learnt_again() -> None:
    index = OffsetIndex()
    for offset in (5, 1, 3, 3):
        index.add(offset)
    assert len(index) == 3
    index.prune(3)
    index.add(1)
    index.prune(2)
    assert len(index) == 2
    assert index.end_offset == 6


def test_index_without_commits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_index, "KNOWN_OFFSETS_MAX", 10)
    index = OffsetIndex()
    for offset in range(100):
        index.add(offset)
    assert len(index) == 10
    assert index.pruned_offset == 90


def test_news_beyond_its_bound_tells_only_how_far_keys_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "NEWS_RECORDS_MAX", 1)
    gathered = News()
    gathered.add_record("k", 4, {"msg": 1})
    gathered.add_record("k", 5, {"msg": 2})
    gathered.add_committed("k", 3)
    gathered.add_committed("k", 2)
    assert gathered.take() == {
        "records": {"k": [(4, {"msg": 1})]},
        "ends": {"k": 6},
        "committed": {"k": 3},
    }
    assert gathered.take() == {}
    gathered.add_record("k", 6, {"msg": 3})
    assert gathered.take() == {"records": {"k": [(6, {"msg": 3})]}}


def test_cache_forgets_what_was_used_longest_ago() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert cache.newest(5) == [("c", 3), ("a", 1)]
    assert len(cache) == 2


hostile_keys = st.text(st.sampled_from("~olnce_01"), max_size=7) | st.text(max_size=4)


@example("ol", "7", 7, 0)
@example("nonce", "3", 3, 0)
@example("nonce_n0", "n0", 0, 0)
@example("ol", "~ol", 0, 0)
@given(hostile_keys, hostile_keys, st.integers(0, 12), st.integers(0, 12))
def test_layout_different_things_have_different_names(
    key: str, other: str, offset: int, other_offset: int
) -> None:
    if (key, offset) != (other, other_offset):
        assert layout.record_name(key, offset) != layout.record_name(other, other_offset)
    if key != other:
        assert layout.log_name(key) != layout.log_name(other)
    # In seq-kv: the names of one design never meet.
    assert layout.offset_list_name(other) != layout.record_name(key, offset)
    for name in (layout.record_name(key, offset), layout.log_name(key)):
        assert name != layout.nonce_name(other)
    assert layout.offset_list_name(key) != layout.nonce_name(other)
    assert layout.committed_name(key) != layout.next_offset_name(other)


def test_layout_ordinary_keys_are_named_as_the_notes_say() -> None:
    assert layout.committed_name("7") == "co_7"
    assert layout.offset_list_name("7") == "ol_7"
    assert layout.record_name("7", 3) == "7_3"
    assert layout.log_name("7") == "7"
