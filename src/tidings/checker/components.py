"""Strongly connected components and shortest cycles of a directed graph, without recursion."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

Successors = Callable[[int], Sequence[int]]
"""Maps a node to the nodes its edges lead to."""


def components(nodes: Iterable[int], successors: Successors) -> list[list[int]]:
    """Return the components of two or more nodes among those that `nodes` lead to.

    Tarjan's algorithm, linear in nodes and edges. Order follows that of `nodes` and successors. A
    self-edge makes no component.
    """
    found: list[list[int]] = []
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: dict[int, None] = {}
    for root in nodes:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        path.append(root)
        on_path[root] = None
        work = [(root, iter(successors(root)))]
        while work:
            node, edges = work[-1]
            for target in edges:
                if target not in order:
                    order[target] = low[target] = len(order)
                    path.append(target)
                    on_path[target] = None
                    work.append((target, iter(successors(target))))
                    break
                if target in on_path:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == order[node]:
                    component = _cut(path, on_path, node)
                    if len(component) > 1:
                        found.append(component)
    return found


def _cut(path: list[int], on_path: dict[int, None], root: int) -> list[int]:
    """Take the component that begins with `root` off the path."""
    start = len(path) - 1
    while path[start] != root:
        start -= 1
    component = path[start:]
    del path[start:]
    for node in component:
        del on_path[node]
    return component


def shortest_cycle(start: int, component: Sequence[int], successors: Successors) -> list[int]:
    """Return the nodes of a shortest cycle through `start`, which comes first.

    `component` is a strongly connected component that holds `start`; the cycle stays within it. No
    node may have an edge to itself.
    """
    inside = dict.fromkeys(component)
    came_from: dict[int, int] = {}
    waiting = deque([start])
    while start not in came_from:
        node = waiting.popleft()
        for target in successors(node):
            if target in inside and target not in came_from:
                came_from[target] = node
                waiting.append(target)
    cycle = [start]
    while (node := came_from[cycle[-1]]) != start:
        cycle.append(node)
    return [start, *reversed(cycle[1:])]
