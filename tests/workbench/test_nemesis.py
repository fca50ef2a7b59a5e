import asyncio

import pytest
from in_process import FakeCluster, Log, make_network, make_settings

from tidings.testing.loop import run
from tidings.types import Json
from tidings.workbench.cluster import NodeState
from tidings.workbench.nemesis import haunt, make_nemesis
from tidings.workbench.schedule import Spell
from tidings.workbench.settings import Fault

SPELLS = [Spell(1.0, 3.0, "first"), Spell(4.0, 9.0, "second"), Spell(20.0, 30.0, "third")]


class Steps:
    """A fault that only keeps what was asked of it, and when."""

    def __init__(self) -> None:
        self.kept: list[tuple[float, Json]] = []

    async def begin(self, target: Json) -> None:
        self.kept.append((asyncio.get_running_loop().time(), target))

    async def end(self) -> None:
        self.kept.append((asyncio.get_running_loop().time(), "end"))


def haunted(duration_s: float) -> list[tuple[float, Json]]:
    async def main() -> Steps:
        steps, over = Steps(), asyncio.Event()
        started_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(haunt(steps, SPELLS, started_s, over))
            await asyncio.sleep(duration_s)
            over.set()
        return steps

    return run(main()).kept


def test_haunt_keeps_the_schedule() -> None:
    assert haunted(15.0) == [(1.0, "first"), (3.0, "end"), (4.0, "second"), (9.0, "end")]


def test_haunt_mends_what_is_broken_when_operations_end() -> None:
    assert haunted(5.0)[-2:] == [(4.0, "second"), (5.0, "end")]


def test_haunt_that_never_began_mends_nothing() -> None:
    assert haunted(0.5) == []


@pytest.mark.parametrize(
    ("fault", "target", "names"),
    [
        (Fault.PARTITION, {"n0": ["n1"]}, ("start-partition", "stop-partition")),
        (Fault.LOSS, 0.5, ("start-loss", "stop-loss")),
        (Fault.SLOW, 10.0, ("start-slow", "stop-slow")),
        (Fault.DUPLICATE, 1.0, ("start-duplicate", "stop-duplicate")),
        (Fault.KILL, ["n1"], ("kill", "start")),
        (Fault.PAUSE, ["n1"], ("pause", "resume")),
    ],
)
def test_nemesis_notes_what_it_did_and_to_whom(
    fault: Fault, target: Json, names: tuple[str, str]
) -> None:
    notes: list[tuple[str, Json]] = []

    async def main() -> None:
        network = make_network()
        cluster = FakeCluster(make_settings(node_count=2), network, lambda _: Log().handle)
        await cluster.start()
        nemesis = make_nemesis(
            fault, network=network, cluster=cluster, note=lambda f, value: notes.append((f, value))
        )
        await nemesis.begin(target)
        await nemesis.end()
        assert cluster.in_state(NodeState.RUNNING) == ["n0", "n1"]

    run(main())
    assert [name for name, _ in notes] == list(names)
    assert notes[0][1] == target


def test_nemesis_passes_over_a_node_that_is_down_already() -> None:
    notes: list[tuple[str, Json]] = []

    async def main() -> None:
        network = make_network()
        cluster = FakeCluster(make_settings(node_count=3), network, lambda _: Log().handle)
        await cluster.start()
        await cluster.kill("n1")
        pause = make_nemesis(
            Fault.PAUSE, network=network, cluster=cluster, note=lambda f, v: notes.append((f, v))
        )
        await pause.begin(["n1", "n2"])
        assert cluster.states["n1"] is NodeState.DOWN

    run(main())
    assert notes == [("pause", ["n2"])]
