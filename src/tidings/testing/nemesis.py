"""The nemesis of a simulated run: trouble that lasts, each kind at its own rhythm."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from tidings.testing.world import SimNode, World

HOUR_MS = 3_600_000

Mend = Callable[[], None]


async def haunt(world: World, trouble: str, interval_s: float) -> None:
    """Bring one kind of trouble and mend it, again and again, until cancelled."""
    rng = Random(f"{world.plan.seed}/{trouble}")
    while True:
        await asyncio.sleep(rng.uniform(0, 2 * interval_s))
        node = rng.choice(world.nodes)
        world.trace.count(trouble)
        world.trace.add(node.node_id, trouble, "begins")
        mend = _TROUBLES[trouble](world, node, rng)
        await asyncio.sleep(rng.uniform(0, 2 * world.plan.trouble_s))
        world.trace.add(node.node_id, trouble, "ends")
        mend()


def _cut(world: World, pairs: Sequence[tuple[str, str]]) -> Mend:
    world.network.cut.update(dict.fromkeys(pairs))

    def mend() -> None:
        for pair in pairs:
            world.network.cut.pop(pair, None)

    return mend


def _between(one: Sequence[str], other: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [(a, b) for a in one for b in other]
    return pairs + [(b, a) for a, b in pairs]


def _halves(world: World, _node: SimNode, rng: Random) -> Mend:
    names = rng.sample(world.node_ids, len(world.nodes))
    middle = len(names) // 2
    return _cut(world, _between(names[:middle], names[middle:]))


def _bridge(world: World, _node: SimNode, rng: Random) -> Mend:
    _, *names = rng.sample(world.node_ids, len(world.nodes))
    middle = len(names) // 2
    return _cut(world, _between(names[:middle], names[middle:]))


def _alone(world: World, node: SimNode, _rng: Random) -> Mend:
    others = [name for name in world.node_ids if name != node.node_id]
    return _cut(world, _between([node.node_id], others))


def _one_way(world: World, node: SimNode, rng: Random) -> Mend:
    others = [name for name in world.node_ids if name != node.node_id]
    pairs = [(node.node_id, name) for name in others]
    return _cut(world, pairs if rng.random() < 0.5 else [(b, a) for a, b in pairs])


def _crash(world: World, node: SimNode, _rng: Random) -> Mend:
    world.crash(node)
    return lambda: world.start(node)


def _crash_all(world: World, _node: SimNode, _rng: Random) -> Mend:
    for node in world.nodes:
        world.crash(node)
    return world.start_all


def _pause(_world: World, node: SimNode, _rng: Random) -> Mend:
    life = node.life
    if life is not None:
        life.gate.is_shut = True

    def mend() -> None:
        if life is not None and not life.is_over:
            life.gate.open()

    return mend


def _store_away(_world: World, node: SimNode, _rng: Random) -> Mend:
    life = node.life
    if life is not None:
        life.is_cut_off = True

    def mend() -> None:
        if life is not None:
            life.reach_stores()

    return mend


def _store_dying(world: World, node: SimNode, rng: Random) -> Mend:
    nodes = rng.choice((world.nodes, [node]))
    lives = [each.life for each in nodes if each.life is not None]
    refused_from_s = asyncio.get_running_loop().time() + rng.uniform(0, world.plan.trouble_s)
    gets_out = rng.random() < 0.5
    for life in lives:
        life.hears_nothing = gets_out
        life.is_connecting = not gets_out
        life.refused_from_s = refused_from_s

    def mend() -> None:
        for life in lives:
            life.reach_stores()

    return mend


def _store_slow(world: World, _node: SimNode, _rng: Random) -> Mend:
    world.weather.is_slow = True

    def mend() -> None:
        world.weather.is_slow = False

    return mend


def _clock_jump(_world: World, node: SimNode, rng: Random) -> Mend:
    node.clock.ahead_ms = rng.randint(-HOUR_MS, HOUR_MS)

    def mend() -> None:
        node.clock.ahead_ms = 0

    return mend


def _forgotten(world: World, node: SimNode, _rng: Random) -> Mend:
    others = [other for other in world.nodes if other is not node]
    for other in others:
        other.forget(node.node_id)

    def mend() -> None:
        for other in others:
            other.meet(world.node_ids)

    return mend


def _store_full(world: World, _node: SimNode, rng: Random) -> Mend:
    order, blobs = rng.choice(((True, False), (False, True), (True, True)))
    world.storage.fill_up(order=order, blobs=blobs)
    return lambda: world.storage.fill_up(order=False, blobs=False)


_TROUBLES: dict[str, Callable[[World, SimNode, Random], Mend]] = {
    "halves": _halves,
    "one-way": _one_way,
    "bridge": _bridge,
    "alone": _alone,
    "crash": _crash,
    "crash-all": _crash_all,
    "pause": _pause,
    "store-away": _store_away,
    "store-slow": _store_slow,
    "clock-jump": _clock_jump,
    "store-full": _store_full,
    "forgotten": _forgotten,
    "store-dying": _store_dying,
}
