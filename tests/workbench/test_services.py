from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.workbench.services import Body, LinKV, LinTSO, LwwKV, SeqKV, Service, _Stamped

STATES_MAX = 32


def read(key: Any) -> Body:
    return {"type": "read", "key": key}


def write(key: Any, value: Any) -> Body:
    return {"type": "write", "key": key, "value": value}


def cas(key: Any, old: Any, new: Any, **more: Any) -> Body:
    return {"type": "cas", "key": key, "from": old, "to": new, **more}


def code(reply: Body) -> int:
    assert reply["type"] == "error", reply
    assert isinstance(reply["text"], str)
    return int(reply["code"])


def seq_kv(seed: int = 0, states_max: int = STATES_MAX) -> SeqKV:
    return SeqKV(Random(seed), states_max)


SERVICES = [LinKV, seq_kv, lambda: LwwKV(Random(0))]


# Semantics that all stores share, seen by a client that is alone.


@pytest.mark.parametrize("make", [LinKV, seq_kv])
def test_kv_written_key_is_read_by_its_writer(make: Any) -> None:
    service = make()
    assert service.handle("n0", write("k", [1])) == {"type": "write_ok"}
    assert service.handle("n0", read("k")) == {"type": "read_ok", "value": [1]}


@pytest.mark.parametrize("make", SERVICES)
def test_kv_missing_key_is_error_20(make: Any) -> None:
    assert code(make().handle("n0", read("k"))) == 20
    assert code(make().handle("n0", cas("k", 1, 2))) == 20


@pytest.mark.parametrize("make", [LinKV, seq_kv])
def test_kv_cas_sets_only_the_expected_value(make: Any) -> None:
    service = make()
    service.handle("n0", write("k", 1))
    assert service.handle("n0", cas("k", 1, 2)) == {"type": "cas_ok"}
    refusal = service.handle("n0", cas("k", 1, 3))
    assert code(refusal) == 22
    assert refusal["text"] == "current value 2 is not 1"
    assert service.handle("n0", read("k"))["value"] == 2


@pytest.mark.parametrize("make", [LinKV, seq_kv])
def test_kv_cas_that_may_create_creates_whatever_it_expects(make: Any) -> None:
    service = make()
    created = service.handle("n0", cas("k", "anything", 2, create_if_not_exists=True))
    assert created == {"type": "cas_ok"}
    assert service.handle("n0", read("k"))["value"] == 2
    again = service.handle("n0", cas("k", "anything", 3, create_if_not_exists=True))
    assert code(again) == 22


def test_lww_kv_cas_never_creates() -> None:
    service = LwwKV(Random(0))
    assert code(service.handle("n0", cas("k", None, 2, create_if_not_exists=True))) == 20


@pytest.mark.parametrize("make", [LinKV, seq_kv])
def test_kv_null_is_a_value(make: Any) -> None:
    service = make()
    service.handle("n0", write("k", None))
    assert service.handle("n0", read("k")) == {"type": "read_ok", "value": None}
    assert service.handle("n0", cas("k", None, 1)) == {"type": "cas_ok"}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 1}, {"a": 1.0}), ("1", 1), (None, 0)],
)
def test_kv_values_of_another_kind_are_not_the_same(stored: Any, expected: Any) -> None:
    service = LinKV()
    service.handle("n0", write("k", stored))
    assert code(service.handle("n0", cas("k", expected, "new"))) == 22
    assert service.handle("n0", cas("k", stored, "new")) == {"type": "cas_ok"}


def test_kv_objects_are_the_same_in_any_order() -> None:
    service = LinKV()
    service.handle("n0", write({"a": 1, "b": [2]}, {"x": 1, "y": 2}))
    assert service.handle("n0", read({"b": [2], "a": 1}))["value"] == {"x": 1, "y": 2}
    swapped = cas({"a": 1, "b": [2]}, {"y": 2, "x": 1}, 0)
    assert service.handle("n0", swapped) == {"type": "cas_ok"}


def test_kv_keys_that_differ_are_kept_apart() -> None:
    service = LinKV()
    keys: list[Any] = [1, 1.0, True, "1", None, "null", [1], "[1]", "\0001", "\0", {}, [], ""]
    for place, key in enumerate(keys):
        service.handle("n0", write(key, place))
    assert [service.handle("n0", read(key))["value"] for key in keys] == list(range(len(keys)))


@pytest.mark.parametrize("make", SERVICES)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "read"}, 12),
        ({"type": "write", "key": "k"}, 12),
        ({"type": "cas", "key": "k", "from": 1}, 12),
        ({"type": "append", "key": "k"}, 10),
        ({"type": ["read"], "key": "k"}, 10),
        ({"key": "k"}, 10),
    ],
)
def test_kv_malformed_request_is_refused(make: Any, body: Body, expected: int) -> None:
    assert code(make().handle("n0", body)) == expected


def test_lin_kv_create_flag_that_is_no_boolean_is_refused() -> None:
    assert code(LinKV().handle("n0", cas("k", 1, 2, create_if_not_exists="yes"))) == 12


def test_lin_tso_timestamps_count_up() -> None:
    service = LinTSO()
    replies = [service.handle("n0", {"type": "ts"}) for _ in range(3)]
    assert [reply["ts"] for reply in replies] == [0, 1, 2]
    assert code(service.handle("n0", {"type": "read"})) == 10


# seq-kv's staleness.


def counted_up(service: Service, count: int) -> None:
    for number in range(1, count + 1):
        service.handle("writer", write("k", number))


def test_seq_kv_stale_reader_never_sees_the_newest_state_of_another() -> None:
    for seed in range(50):
        service = seq_kv(seed)
        counted_up(service, 1)
        assert [code(service.handle("reader", read("k"))) for _ in range(5)] == [20] * 5


def test_seq_kv_reader_catches_up_but_for_one_state() -> None:
    service = seq_kv()
    counted_up(service, 10)
    seen = [service.handle("reader", read("k")) for _ in range(200)]
    assert seen[-1]["value"] == 9


def test_seq_kv_stale_read_reaches_every_kept_state_and_none_older() -> None:
    seen = set()
    for seed in range(400):
        service = seq_kv(seed)
        counted_up(service, 40)
        seen.add(service.handle("reader", read("k"))["value"])
    assert seen == set(range(40 - STATES_MAX + 1, 40))


def test_seq_kv_writer_sees_the_newest_state() -> None:
    service = seq_kv()
    counted_up(service, 50)
    service.handle("reader", write("nonce", 1))
    assert service.handle("reader", read("k"))["value"] == 50


def test_seq_kv_cas_that_fails_on_a_stale_state_has_failed() -> None:
    """The reader can only see the state before the last, whose value it does not expect."""
    for seed in range(50):
        service = seq_kv(seed, states_max=2)
        counted_up(service, 10)
        assert code(service.handle("reader", cas("k", 10, 11))) == 22


def test_seq_kv_cas_that_works_on_a_stale_state_is_decided_by_the_newest() -> None:
    service = seq_kv(states_max=2)
    counted_up(service, 10)
    assert code(service.handle("reader", cas("k", 9, 99))) == 22
    assert service.handle("reader", read("k"))["value"] == 10


def test_seq_kv_write_that_changes_nothing_on_a_stale_state_stays_in_the_past() -> None:
    """Maelstrom's own example: the write is ordered before the other client's cas."""
    service = seq_kv()
    service.handle("n1", write("x", 1))
    # A further state, for n1 to be one state behind and see x = 1.
    service.handle("n2", cas("x", 1, 2, create_if_not_exists=True))
    service.handle("n2", write("x", 2))
    while service.handle("n2", read("x")).get("value") != 2:
        service.handle("n2", write("other", 0))
    service.handle("n1", write("x", 1))
    assert service.handle("n2", read("x"))["value"] == 2


def test_seq_kv_versions_nobody_can_see_are_forgotten() -> None:
    service = seq_kv()
    counted_up(service, 1000)
    for number in range(STATES_MAX):
        service.handle("writer", write(f"other-{number}", 0))
    assert len(service._versions["k"]) == 1
    assert len(service._recent) <= STATES_MAX


class SeqModel:
    """seq-kv as Maelstrom has it: whole states in a list; only the choice is bounded below."""

    def __init__(self, rng: Random, states_max: int) -> None:
        self.rng, self.states_max = rng, states_max
        self.states: list[dict[str, Any]] = [{}]
        self.seen: dict[str, int] = {}

    def handle(self, client: str, body: Body) -> Body:
        newest = len(self.states) - 1
        oldest = max(self.seen.get(client, 0), newest - self.states_max + 1)
        chosen = oldest + int(self.rng.random() * (newest - oldest))
        after, reply = self.apply(self.states[chosen], body)
        if after != self.states[chosen]:
            after, reply = self.apply(self.states[newest], body)
            self.states.append(after)
            chosen = newest + 1
        self.seen[client] = chosen
        return reply

    def apply(self, state: dict[str, Any], body: Body) -> tuple[dict[str, Any], Body]:
        service = LinKV()
        service._values = dict(state)
        return service._values, service.handle("", body)


KEYS = st.sampled_from(["a", "b"])
VALUES = st.integers(0, 2)
REQUESTS = st.one_of(
    st.builds(read, KEYS),
    st.builds(write, KEYS, VALUES),
    st.builds(cas, KEYS, VALUES, VALUES, create_if_not_exists=st.booleans()),
)
HISTORIES = st.lists(st.tuples(st.sampled_from(["n0", "n1", "n2"]), REQUESTS), max_size=60)


@settings(max_examples=100, deadline=None)
@given(history=HISTORIES, seed=st.integers(0, 1000), states_max=st.sampled_from([2, 3, 32]))
def test_seq_kv_any_history_answers_as_the_model(
    history: list[tuple[str, Body]], seed: int, states_max: int
) -> None:
    service, model = seq_kv(seed, states_max), SeqModel(Random(seed), states_max)
    for client, body in history:
        assert service.handle(client, body) == model.handle(client, body)


@settings(max_examples=50, deadline=None)
@given(reads=st.lists(st.sampled_from(["r0", "r1", None]), max_size=200), seed=st.integers(0, 1000))
def test_seq_kv_no_client_goes_back_or_falls_behind_32_states(
    reads: list[str | None], seed: int
) -> None:
    service = seq_kv(seed)
    written = 0
    last_seen: dict[str, int] = {}
    for reader in reads:
        if reader is None:
            written += 1
            service.handle("writer", write("k", written))
            continue
        value = service.handle(reader, read("k")).get("value", 0)
        assert value >= last_seen.get(reader, 0)
        assert written - value < STATES_MAX
        last_seen[reader] = value


# lww-kv.


def first_read_after_write(seed: int) -> Body:
    service = LwwKV(Random(seed))
    service.handle("n0", write("k", 1))
    return service.handle("n0", read("k"))


def test_lww_kv_write_may_be_missed_at_first() -> None:
    replies = [first_read_after_write(seed) for seed in range(20)]
    assert {reply["type"] for reply in replies} == {"read_ok", "error"}


def test_lww_kv_write_is_visible_in_the_end() -> None:
    service = LwwKV(Random(1))
    service.handle("n0", write("k", 1))
    replies = [service.handle("n0", read("k")) for _ in range(50)]
    assert replies[-1] == {"type": "read_ok", "value": 1}


def test_lww_kv_later_timestamp_wins_everywhere() -> None:
    service = LwwKV(Random(3))
    for number in range(20):
        service.handle("n0", write("k", number))
    values = [service.handle("n0", read("k"))["value"] for _ in range(100)]
    assert len(set(values[50:])) == 1
    assert not service._differing


@pytest.mark.parametrize("newer", [0, 1])
def test_lww_kv_merge_keeps_the_value_with_the_later_timestamp(newer: int) -> None:
    service = LwwKV(Random(0))
    older = 1 - newer
    for place, timestamp, value in ((newer, 5, "new"), (older, 3, "old")):
        service._replicas[place].values["k"] = _Stamped(timestamp, value)
        service._replicas[place].clock = timestamp + 1
    service._differing["k"] = None
    service._merge(service._replicas[older], service._replicas[newer])
    assert [replica.values["k"].value for replica in service._replicas].count("old") == 1
    service._merge(service._replicas[newer], service._replicas[older])
    assert [replica.values["k"].value for replica in service._replicas] == ["new", "new"]
    assert [replica.clock for replica in service._replicas] == [6, 6]
