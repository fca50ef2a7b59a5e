"""The nemesis of a simulated cluster: trouble that lasts, each kind at its own rhythm."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from tidings.testing.cluster_world import ClusterWorld, SimBroker
from tidings.testing.nemesis import HOUR_MS, Mend

Pairs = Sequence[tuple[str, str]]


async def haunt_cluster(world: ClusterWorld, trouble: str, interval_s: float) -> None:
    """Bring one kind of trouble and mend it, again and again, until cancelled."""
    rng = Random(f"{world.plan.seed}/{trouble}")
    while True:
        await asyncio.sleep(rng.uniform(0, 2 * interval_s))
        broker = rng.choice(world.brokers)
        world.trace.count(trouble)
        world.trace.add(broker.host, trouble, "begins")
        mend = _TROUBLES[trouble](world, broker, rng)
        await asyncio.sleep(rng.uniform(0, 2 * world.plan.trouble_s))
        world.trace.add(broker.host, trouble, "ends")
        mend()


def _cut(world: ClusterWorld, pairs: Pairs) -> Mend:
    world.network.cut.update(dict.fromkeys(pairs))

    def mend() -> None:
        for pair in pairs:
            world.network.cut.pop(pair, None)
        world.network.mend()

    return mend


def _both_ways(pairs: Pairs) -> Pairs:
    return [*pairs, *((b, a) for a, b in pairs)]


def _others(world: ClusterWorld, broker: SimBroker) -> list[str]:
    return [host for host in world.hosts if host != broker.host]


def _halves(world: ClusterWorld, _broker: SimBroker, rng: Random) -> Mend:
    hosts = rng.sample(world.hosts, len(world.hosts))
    middle = len(hosts) // 2
    return _cut(world, _both_ways([(a, b) for a in hosts[:middle] for b in hosts[middle:]]))


def _alone(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    return _cut(world, _both_ways([(broker.host, host) for host in _others(world, broker)]))


def _one_way(world: ClusterWorld, broker: SimBroker, rng: Random) -> Mend:
    pairs = [(broker.host, host) for host in _others(world, broker)]
    return _cut(world, pairs if rng.random() < 0.5 else [(b, a) for a, b in pairs])


def _unreachable(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    return _cut(world, _both_ways([(broker.host, host) for host in world.client_hosts]))


def _crash(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    world.kill(broker)
    return lambda: world.start(broker)


def _crash_all(world: ClusterWorld, _broker: SimBroker, _rng: Random) -> Mend:
    for broker in world.brokers:
        world.kill(broker)
    return world.start_all


def _vanish(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    world.kill(broker, vanishes=True)
    return lambda: world.start(broker)


def _end(_world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    if broker.life is not None:
        broker.life.told_to_end.set()
    # It comes back by itself.
    return lambda: None


def _pause(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    life = broker.life
    if life is None:
        return lambda: None
    world.stop(life)
    return lambda: world.go_on(life)


def _store_away(_world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    life = broker.life
    if life is None:
        return lambda: None
    life.is_cut_off = True
    return life.reach_stores


def _store_dying(world: ClusterWorld, broker: SimBroker, rng: Random) -> Mend:
    brokers = rng.choice((world.brokers, [broker]))
    lives = [each.life for each in brokers if each.life is not None]
    refused_from_s = asyncio.get_running_loop().time() + rng.uniform(0, world.plan.trouble_s)
    for life in lives:
        life.hears_nothing = True
        life.refused_from_s = refused_from_s

    def mend() -> None:
        for life in lives:
            life.reach_stores()

    return mend


def _store_slow(world: ClusterWorld, _broker: SimBroker, _rng: Random) -> Mend:
    world.weather.is_slow = True

    def mend() -> None:
        world.weather.is_slow = False

    return mend


def _clock_jump(_world: ClusterWorld, broker: SimBroker, rng: Random) -> Mend:
    broker.clock.ahead_ms = rng.randint(-HOUR_MS, HOUR_MS)

    def mend() -> None:
        broker.clock.ahead_ms = 0

    return mend


def _unheard(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    life = broker.life
    if life is None:
        return lambda: None
    unheard = world.watches.unheard
    unheard[life.process] = None

    def mend() -> None:
        unheard.pop(life.process, None)

    return mend


def _watch_gap(world: ClusterWorld, broker: SimBroker, _rng: Random) -> Mend:
    life = broker.life
    if life is None:
        return lambda: None
    world.watches.blind(life.process)
    return lambda: world.watches.begin_anew(life.process)


_TROUBLES: dict[str, Callable[[ClusterWorld, SimBroker, Random], Mend]] = {
    "halves": _halves,
    "one-way": _one_way,
    "alone": _alone,
    "unreachable": _unreachable,
    "crash": _crash,
    "crash-all": _crash_all,
    "vanish": _vanish,
    "end": _end,
    "pause": _pause,
    "store-away": _store_away,
    "store-slow": _store_slow,
    "store-dying": _store_dying,
    "clock-jump": _clock_jump,
    "unheard": _unheard,
    "watch-gap": _watch_gap,
}
