from collections import Counter
from random import Random

import pytest

from tidings.checker.history import Event
from tidings.types import Json
from tidings.workbench.operations import Operation
from tidings.workbench.workload import CRASH_INTERVAL_S, FinalPolls, KafkaWorkload

CONCURRENCY = 10


def make_workload(seed: int = 0, max_writes_per_key: int = 16) -> KafkaWorkload:
    return KafkaWorkload(
        Random(seed), concurrency=CONCURRENCY, max_writes_per_key=max_writes_per_key
    )


def generate(workload: KafkaWorkload, count: int) -> list[Operation]:
    """Operations before any crash is due."""
    return [workload.next_operation(-1.0) for _ in range(count)]


def event(f: str, value: Json, kind: str = "ok") -> Event:
    return Event(index=0, time=0, type=kind, process=0, f=f, value=value)  # type: ignore[arg-type]


def sent(key: str, offset: int) -> Event:
    return event("send", [["send", key, [offset, 1]]])


def polled(**offsets: int) -> Event:
    return event("poll", [["poll", {key[1:]: [[o, 1]] for key, o in offsets.items()}]])


def sends(operations: list[Operation]) -> list[tuple[str, int]]:
    return [(op.value[0][1], op.value[0][2]) for op in operations if op.f == "send"]


def test_workload_half_sends_half_polls() -> None:
    kinds = Counter(operation.f for operation in generate(make_workload(), 4000))
    assert kinds["send"] == pytest.approx(2000, rel=0.1)
    assert kinds["poll"] == pytest.approx(2000, rel=0.1)
    assert kinds["assign"] == pytest.approx(4000 / 64, rel=0.3)


def test_workload_messages_of_a_key_count_from_1_to_the_limit() -> None:
    by_key: dict[str, list[int]] = {}
    for key, message in sends(generate(make_workload(max_writes_per_key=5), 2000)):
        by_key.setdefault(key, []).append(message)
    assert len(by_key) > 100
    assert max(map(len, by_key.values())) == 5
    for messages in by_key.values():
        assert messages == list(range(1, len(messages) + 1))


def test_workload_key_is_twice_as_popular_as_the_one_before() -> None:
    counts = Counter(
        key for key, _ in sends(generate(make_workload(max_writes_per_key=10**6), 40000))
    )
    assert sorted(counts, key=int) == [str(key) for key in range(10)]
    for key in range(5, 9):
        assert counts[str(key + 1)] / counts[str(key)] == pytest.approx(2, rel=0.25)


def test_workload_asks_for_the_same_however_often_clients_crash() -> None:
    calm, hectic = make_workload(), make_workload()
    asked = [calm.next_operation(-1.0) for _ in range(500)]
    among_crashes = (hectic.next_operation(float(number)) for number in range(10_000))
    also_asked = [operation for operation in among_crashes if operation.f != "crash"]
    assert asked == also_asked[:500]


def test_workload_retired_key_is_replaced_by_a_new_one() -> None:
    workload = make_workload(max_writes_per_key=1)
    keys = [key for key, _ in sends(generate(workload, 400))]
    assert len(set(keys)) == len(keys)
    assert len(workload._live_keys) == 10


def test_workload_assign_goes_before_an_operation_on_its_key() -> None:
    operations = generate(make_workload(), 4000)
    assigns = [i for i, operation in enumerate(operations) if operation.f == "assign"]
    for place in assigns:
        [key] = operations[place].value
        following = next(op for op in operations[place:] if op.f != "assign")
        if following.f == "send":
            assert following.value[0][1] == key


def test_workload_third_of_assigns_takes_in_keys_sent_but_not_polled() -> None:
    workload = make_workload()
    workload.observe(sent("901", 5))
    workload.observe(sent("902", 5))
    workload.observe(polled(k902=5))
    assigns = [op.value for op in generate(workload, 20000) if op.f == "assign"]
    with_unseen = [keys for keys in assigns if "901" in keys]
    assert len(with_unseen) == pytest.approx(len(assigns) / 3, rel=0.25)
    assert all(len(keys) == len(set(keys)) for keys in assigns)
    assert not any("902" in keys for keys in assigns)


def test_workload_key_polled_not_far_enough_stays_unseen() -> None:
    workload = make_workload()
    workload.observe(sent("901", 5))
    workload.observe(polled(k901=4))
    assert workload._sent == {"901": 5}


def test_workload_only_ok_operations_are_learnt_from() -> None:
    workload = make_workload()
    workload.observe(event("send", [["send", "901", 1]], "info"))
    workload.observe(event("poll", [["poll"]], "fail"))
    assert workload.highest_offsets == {}


def test_workload_highest_offsets_come_from_sends_and_polls_in_order_of_keys() -> None:
    workload = make_workload()
    for completed in (sent("10", 3), sent("9", 1), polled(k9=7), sent("9", 2)):
        workload.observe(completed)
    assert list(workload.highest_offsets.items()) == [("9", 7), ("10", 3)]


def test_workload_crashes_at_the_interval_whatever_the_rate() -> None:
    workload = make_workload()
    seconds = 600
    kinds = Counter(workload.next_operation(tick / 10).f for tick in range(seconds * 10))
    assert make_workload().next_operation(0.0).f == "crash"
    assert kinds["crash"] == pytest.approx(seconds * CONCURRENCY / CRASH_INTERVAL_S, rel=0.15)


def test_workload_same_seed_gives_the_same_operations() -> None:
    assert generate(make_workload(7), 500) == generate(make_workload(7), 500)
    assert generate(make_workload(7), 500) != generate(make_workload(8), 500)


def test_final_polls_begin_anew_on_all_keys() -> None:
    polls = FinalPolls({"1": 4, "2": 0})
    crash, assign = polls.opening
    assert crash.f == "crash"
    assert (assign.f, assign.value, assign.seek_to_beginning) == ("assign", ["1", "2"], True)


def test_final_polls_are_done_once_every_target_is_reached() -> None:
    polls = FinalPolls({"1": 4, "2": 0})
    polls.observe(polled(k1=3, k2=0))
    assert not polls.is_done
    polls.observe(event("poll", [["poll", {"1": [[4, 1]]}]], "info"))
    assert not polls.is_done
    polls.observe(polled(k1=5, k7=1))
    assert polls.is_done


def test_final_polls_without_targets_are_done_at_once() -> None:
    assert FinalPolls({}).is_done
