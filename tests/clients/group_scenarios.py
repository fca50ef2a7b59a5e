"""What members of a consumer group go through, each a process, in whatever language."""

from collections.abc import Callable, Sequence

from client_run import member
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tidings.types import Json

PARTITIONS = 4


def _topic(address: str, name: str) -> None:
    # It has to outlive its answer.
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, PARTITIONS)])[name].result(timeout=30)


def _produce(address: str, topic: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": address})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS)
    assert producer.flush(30) == 0, "some records were not acknowledged"


def _share(command: Sequence[str], address: str, name: str) -> Json:
    with (
        member(command, address, name, name) as first,
        member(command, address, name, name) as second,
    ):
        halves = [first.await_assigned(2), second.await_assigned(2)]
        first.leave()
        second.leave()
    # Who gets which is the business of the client's assignor.
    return [len(half) for half in halves], sorted(halves[0] + halves[1])


def _leave(command: Sequence[str], address: str, name: str) -> Json:
    with (
        member(command, address, name, name) as first,
        member(command, address, name, name) as second,
    ):
        first.await_assigned(2)
        second.await_assigned(2)
        second.leave()
        return first.await_assigned(PARTITIONS)


def _die(command: Sequence[str], address: str, name: str) -> Json:
    with (
        member(command, address, name, name) as first,
        member(command, address, name, name) as second,
    ):
        first.await_assigned(2)
        second.await_assigned(2)
        second.die()
        return first.await_assigned(PARTITIONS)


def _resume(command: Sequence[str], address: str, name: str) -> Json:
    _produce(address, name, "a", "b", "c", "d")
    with member(command, address, name, name) as first:
        first.await_read(4)
        first.leave()
    _produce(address, name, "e", "f", "g", "h")
    with member(command, address, name, name) as second:
        second.await_read(4)
        second.leave()
    return [sorted(first.read), sorted(second.read)]


GROUP_SCENARIOS: dict[str, tuple[Callable[[Sequence[str], str, str], Json], Json]] = {
    "group-share": (_share, ([2, 2], [0, 1, 2, 3])),
    "group-leave": (_leave, [0, 1, 2, 3]),
    "group-die": (_die, [0, 1, 2, 3]),
    "group-resume": (_resume, [["a", "b", "c", "d"], ["e", "f", "g", "h"]]),
}
"""For each scenario, what carries it out and what has to come of it."""


def run_group_scenario(command: Sequence[str], address: str, name: str, scenario: str) -> Json:
    """Return what was observed; the topic and the group are NAME-SCENARIO."""
    carry_out, _ = GROUP_SCENARIOS[scenario]
    topic = f"{name}-{scenario}"
    _topic(address, topic)
    return carry_out(command, address, topic)
