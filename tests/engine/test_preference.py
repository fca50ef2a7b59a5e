"""Who is preferred as publisher, and how long it is waited for."""

from collections import Counter

import pytest

from tidings.engine.preference import PATIENCE_FACTOR, Preference
from tidings.engine.settings import Settings

NODES = ["n0", "n1", "n2", "n3", "n4"]
SETTINGS = Settings(
    ping_interval_s=1.0,
    forward_patience_min_s=0.1,
    forward_patience_max_s=2.0,
)


def preference_of(node_id: str, journal: str = "j") -> Preference:
    return Preference(node_id, NODES, journal, SETTINGS)


def ranking() -> list[str]:
    """All nodes, the most preferred first: each is suspected by a node that ranks below it."""
    last = next(name for name in NODES if _rank_of_itself(name) == len(NODES) - 1)
    preference = preference_of(last)
    ranked: list[str] = []
    while preference.preferred() != last:
        ranked.append(preference.preferred())
        preference.suspect(ranked[-1], 0.0)
    return [*ranked, last]


def _rank_of_itself(name: str) -> int:
    """How many nodes a node has to suspect before it prefers itself."""
    preference = preference_of(name)
    rank = 0
    while (preferred := preference.preferred()) != name:
        preference.suspect(preferred, 0.0)
        rank += 1
    return rank


def test_preferred_is_the_same_for_every_node() -> None:
    assert len({preference_of(name).preferred() for name in NODES}) == 1


def test_preferred_does_not_depend_on_the_order_of_names() -> None:
    one = Preference("n0", NODES, "j", SETTINGS)
    other = Preference("n0", NODES[::-1], "j", SETTINGS)
    assert one.preferred() == other.preferred()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_preferred_nodes_of_many_journals_are_spread_evenly(count: int) -> None:
    names = NODES[:count]
    chosen = Counter(
        Preference("n0", names, f"journal-{number}", SETTINGS).preferred() for number in range(1000)
    )
    assert sum(chosen.values()) == 1000
    assert all(0.8 < chosen[name] * count / 1000 < 1.2 for name in names)


def test_suspected_node_is_passed_over_until_it_is_trusted() -> None:
    first, second, *_, last = ranking()
    preference = preference_of(last)
    preference.suspect(first, 10.0)
    assert preference.preferred() == second
    preference.trust(first)
    assert preference.preferred() == first


def test_suspected_node_is_pinged_at_intervals() -> None:
    first, *_, last = ranking()
    preference = preference_of(last)
    assert preference.due_pings(10.0) == []
    preference.suspect(first, 10.0)
    assert preference.due_pings(10.0) == [first]
    assert preference.due_pings(10.99) == []
    assert preference.due_pings(11.0) == [first]
    preference.trust(first)
    assert preference.due_pings(20.0) == []


def test_only_nodes_that_would_be_preferred_to_this_one_are_pinged() -> None:
    first, second, third, *others = ranking()
    preference = preference_of(second)
    for name in (first, third, *others):
        preference.suspect(name, 0.0)
    assert preference.due_pings(5.0) == [first]


def test_node_prefers_itself_when_all_above_it_are_suspected() -> None:
    *others, last = ranking()
    preference = preference_of(last)
    for name in others:
        preference.suspect(name, 0.0)
    assert preference.preferred() == last


def test_node_never_passes_itself_over() -> None:
    first = ranking()[0]
    preference = preference_of(first)
    preference.suspect(first, 0.0)
    assert preference.preferred() == first


def test_patience_starts_at_its_bound_and_follows_what_publishing_takes() -> None:
    preference = preference_of("n0")
    assert preference.patience_s == 2.0
    for _ in range(50):
        preference.note_outcome(0.25)
    assert preference.patience_s == pytest.approx(PATIENCE_FACTOR * 0.25, rel=0.01)


def test_patience_stays_within_its_bounds() -> None:
    preference = preference_of("n0")
    for _ in range(50):
        preference.note_outcome(0.0)
    assert preference.patience_s == 0.1
    for _ in range(50):
        preference.note_outcome(100.0)
    assert preference.patience_s == 2.0


def test_patience_doubles_after_a_suspicion() -> None:
    preference = preference_of("n0")
    for _ in range(50):
        preference.note_outcome(0.1)
    before = preference.patience_s
    preference.suspect("n1", 0.0)
    assert preference.patience_s == pytest.approx(2 * before)


# Nodes that come and go ------------------------------------------------------------------------


def test_node_that_comes_later_is_ranked_as_if_it_had_always_been_there() -> None:
    first, *_, last = ranking()
    names = [name for name in NODES if name != first]
    preference = Preference(last, names, "j", SETTINGS)
    assert preference.preferred() != first
    names.append(first)
    assert preference.preferred() == first


def test_node_that_leaves_is_neither_preferred_nor_pinged() -> None:
    first, second, *_, last = ranking()
    names = list(NODES)
    preference = Preference(last, names, "j", SETTINGS)
    preference.suspect(first, 0.0)
    names.remove(first)
    assert preference.preferred() == second
    assert preference.due_pings(10.0) == []


def test_node_that_left_and_comes_again_is_not_suspected_any_more() -> None:
    first, *_, last = ranking()
    names = list(NODES)
    preference = Preference(last, names, "j", SETTINGS)
    preference.suspect(first, 0.0)
    names.remove(first)
    preference.preferred()
    names.append(first)
    assert preference.preferred() == first
