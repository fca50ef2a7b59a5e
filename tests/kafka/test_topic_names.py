"""Kafka's rules for names of topics, as Apache Kafka 4.2 applied them."""

import pytest

from tidings.kafka.topic_names import NAME_CHARACTERS_MAX, colliding_name, name_refusal


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "...", "_", "a" * NAME_CHARACTERS_MAX])
def test_name_that_kafka_takes_is_taken(name: str) -> None:
    assert name_refusal(name) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "é", "a/b", "a\n", "\0", "a" * (NAME_CHARACTERS_MAX + 1)]
)
def test_name_that_kafka_refuses_is_refused(name: str) -> None:
    assert name_refusal(name)


def test_name_that_differs_in_dots_and_underscores_collides() -> None:
    assert colliding_name("a_b", ["x", "a.b"]) == "a.b"
    assert colliding_name("a.b.c", ["a.b_c"]) == "a.b_c"


def test_name_that_differs_in_more_or_not_at_all_does_not_collide() -> None:
    assert colliding_name("a_b", ["a_b", "a-b", "ab"]) is None
    assert colliding_name("ab", ["a.b"]) is None
