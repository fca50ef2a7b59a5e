"""Seeing the newest state of seq-kv, which otherwise may stay hidden for long."""

import asyncio
from random import Random

from scripted_services import Loss, ScriptedNetwork, Services

from tidings.maelstrom.freshness import RENEWAL_INTERVAL_S, Freshness
from tidings.stores.maelstrom_kv import KeyValue
from tidings.testing.loop import run


def parts() -> tuple[Services, ScriptedNetwork, KeyValue, Freshness]:
    services = Services()
    network = ScriptedNetwork(services)
    kv = KeyValue(network, "seq-kv", timeout_s=1)
    return services, network, kv, Freshness(network, kv, Random(0))


def test_freshness_renewed_view_shows_the_newest_state_every_time() -> None:
    async def main() -> None:
        services, _, kv, freshness = parts()
        for newest in range(100):
            services.put("seq-kv", "k", newest)
            await freshness.try_renew()
            assert await kv.read("k") == newest

    run(main())


def test_freshness_restarted_node_writes_what_it_never_wrote_before() -> None:
    async def main() -> None:
        services, network, kv, _ = parts()
        values = []
        for seed in range(3):
            await Freshness(network, kv, Random(seed)).try_renew()
            values.append(services.value("seq-kv", "nonce_n0"))
        assert len({str(value) for value in values}) == 3

    run(main())


def test_freshness_wanted_often_writes_seldom_and_only_when_wanted() -> None:
    async def main() -> None:
        _, network, _, freshness = parts()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(freshness.run())
            for _ in range(100):
                freshness.want()
                await asyncio.sleep(RENEWAL_INTERVAL_S / 10)
            writes = len(network.calls)
            assert 9 <= writes <= 11
            await asyncio.sleep(10 * RENEWAL_INTERVAL_S)
            assert len(network.calls) <= writes + 1
            running.cancel()

    run(main())


def test_freshness_seq_kv_away_tries_again_when_wanted() -> None:
    async def main() -> None:
        _, network, _, freshness = parts()
        network.lose = lambda *_: Loss.REQUEST
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(freshness.run())
            for _ in range(2):
                freshness.want()
                await asyncio.sleep(3)
            assert len(network.calls) == 2
            running.cancel()

    run(main())
