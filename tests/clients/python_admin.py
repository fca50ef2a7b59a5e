"""What the Python clients do as administrators. scenarios.py says what they have to see."""

from collections.abc import Callable
from typing import Protocol

from python_client import COUNT, EARLIEST, RECORDS, Library, Member, read_from, text

from tidings.types import Json

SOURCES = {1: "DYNAMIC_TOPIC_CONFIG", 4: "STATIC_BROKER_CONFIG", 5: "DEFAULT_CONFIG"}
"""Where the value of a config comes from, by the numbers of DescribeConfigs."""

POLLS_MAX = 300


class Unable(Exception):
    """The client has no call for this."""


class Admin(Protocol):
    """A client's administration. What may be refused returns Kafka's code, 0 if it was not."""

    def create_topic(self, topic: str, partitions: int, copies: int = 1) -> int:
        """Create a topic."""

    def partition_count(self, topic: str) -> int:
        """Return the partitions of a topic."""

    def grow(self, topic: str, partitions: int) -> int:
        """Give a topic so many partitions in all."""

    def delete_topic(self, topic: str) -> int:
        """Delete a topic."""

    def config(self, topic: str, name: str) -> tuple[str, str]:
        """Return the value of a config, and where it comes from, as Kafka calls that."""

    def set_config(self, topic: str, name: str, value: str) -> int:
        """Set a config."""

    def group(self, group: str) -> tuple[str, int]:
        """Return the state of a group, and how many members it has."""

    def groups(self) -> list[str]:
        """Return all groups."""

    def committed(self, group: str, topic: str) -> int:
        """Return what a group committed of partition 0."""

    def delete_group(self, group: str) -> int:
        """Delete a group."""

    def delete_records(self, topic: str, before: int) -> tuple[int, int]:
        """Delete what lies below an offset of partition 0; return code and log start offset."""

    def start(self, topic: str) -> int:
        """Return the log start offset of partition 0."""


def _topics(library: Library, topic: str) -> Json:
    admin = library.admin()
    assert admin.create_topic(topic, 3) == 0
    created = admin.partition_count(topic)
    again = admin.create_topic(topic, 1)
    invalid = admin.create_topic("not a name", 1)
    copies = admin.create_topic(f"{topic}-copies", 1, 3)
    assert admin.grow(topic, 5) == 0
    grown = admin.partition_count(topic)
    shrunk = admin.grow(topic, 4)
    assert admin.delete_topic(topic) == 0
    return {
        "created": created,
        "again": again,
        "invalid": invalid,
        "copies": copies,
        "grown": grown,
        "shrunk": shrunk,
        "missing": admin.delete_topic(topic),
    }


def _configs(library: Library, topic: str) -> Json:
    admin = library.admin()
    assert admin.create_topic(topic, 1) == 0
    before = admin.config(topic, "retention.ms")
    assert admin.set_config(topic, "retention.ms", "12345") == 0
    return {
        "before": list(before),
        "after": list(admin.config(topic, "retention.ms")),
        "malformed": admin.set_config(topic, "retention.ms", "soon"),
        "unknown": admin.set_config(topic, "no.such.config", "1"),
    }


def _read_all(member: Member) -> None:
    """Poll until all records have come."""
    count = 0
    for _ in range(POLLS_MAX):
        count += len(member.poll())
        if count == COUNT:
            return
    raise AssertionError(f"only {count} records came")


def _groups(library: Library, topic: str) -> Json:
    admin = library.admin()
    group = f"{topic}-group"
    # A client that cannot do this says so before there is a member.
    assert admin.delete_group(group) != 0
    assert admin.create_topic(topic, 1) == 0
    library.produce(topic, RECORDS)
    member = library.member(topic, group)
    _read_all(member)
    member.commit()
    stable = admin.group(group)
    busy = admin.delete_group(group)
    member.leave()
    empty, _ = admin.group(group)
    listed = group in admin.groups()
    committed = admin.committed(group, topic)
    assert admin.delete_group(group) == 0
    return {
        "stable": list(stable),
        "busy": busy,
        "empty": empty,
        "listed": listed,
        "committed": committed,
        "gone": admin.delete_group(group),
    }


def _records(library: Library, topic: str) -> Json:
    admin = library.admin()
    assert admin.create_topic(topic, 1) == 0
    library.produce(topic, RECORDS)
    _, low_watermark = admin.delete_records(topic, 4)
    beyond, _ = admin.delete_records(topic, 99)
    (first,) = read_from(library, topic, EARLIEST, 1)
    return {
        "low_watermark": low_watermark,
        "beyond": beyond,
        "start": admin.start(topic),
        "first": text(first.value),
    }


ADMIN_SCENARIOS: dict[str, Callable[[Library, str], Json]] = {
    "admin-topics": _topics,
    "admin-configs": _configs,
    "admin-groups": _groups,
    "admin-records": _records,
}
