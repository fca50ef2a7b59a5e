import pytest

from tidings.checker.components import components, shortest_cycle

GRAPH = {0: [1], 1: [2, 3], 2: [0], 3: [4], 4: [5], 5: [3, 6], 6: [6]}


def follow(node: int) -> list[int]:
    return GRAPH.get(node, [])


def test_components_are_the_groups_that_reach_each_other() -> None:
    assert sorted(map(sorted, components(GRAPH, follow))) == [[0, 1, 2], [3, 4, 5]]


def test_components_of_an_acyclic_graph_are_none() -> None:
    assert components(range(10), lambda node: list(range(node + 1, 10))) == []


def test_components_of_a_long_chain_need_no_recursion() -> None:
    end = 200_000
    (ring,) = components([0], lambda node: [(node + 1) % end])
    assert len(ring) == end


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_shortest_cycle_takes_the_shortcut_and_begins_at_its_start(start: int) -> None:
    graph = {0: [1], 1: [2], 2: [3, 0], 3: [0]}
    cycle = shortest_cycle(start, [0, 1, 2, 3], graph.__getitem__)
    assert cycle[0] == start
    assert sorted(cycle) == ([0, 1, 2, 3] if start == 3 else [0, 1, 2])
    for node, following in zip(cycle, [*cycle[1:], start], strict=True):
        assert following in graph[node]


def test_shortest_cycle_stays_within_its_component() -> None:
    graph = {0: [1], 1: [9, 2], 2: [0]}
    assert shortest_cycle(0, [0, 1, 2], graph.__getitem__) == [0, 1, 2]
