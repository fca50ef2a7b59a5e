"""Simulated connections behave as TCP's do when things go wrong, and processes stop as a whole."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from tidings.testing.cluster_plan import ClusterPlan
from tidings.testing.process import Process, new_process_loop
from tidings.testing.tcp import GIVE_UP_S, TcpNetwork
from tidings.testing.tcp_weather import TcpWeather
from tidings.testing.trace import Trace

PORT = 9092
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Scene:
    """A process that listens on host b, and one on host a."""

    def __init__(self, **chances: float) -> None:
        self.loop = new_process_loop()
        plan = ClusterPlan(design="cluster", seed=1, latency="uniform", latency_s=0.01)
        plan.chances = {name.replace("_", "-"): chance for name, chance in chances.items()}
        trace = Trace(is_kept=False)
        self.network = TcpNetwork(self.loop, TcpWeather(plan, trace), trace)
        self.a, self.b = Process("a"), Process("b")
        self.accepted: list[Streams] = []
        # Kept, for nobody closes them.
        self._connected: list[Streams] = []

    def run(self, act: Callable[["Scene"], Awaitable[None]]) -> None:
        try:
            self.loop.run_until_complete(self._run(act))
        finally:
            self.loop.cancel_all()
            self.loop.close()

    async def _run(self, act: Callable[["Scene"], Awaitable[None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            await tasks.create_task(self._listen(), context=self.b.context)
            await tasks.create_task(cast("Any", act(self)), context=self.a.context)

    async def _listen(self) -> None:
        listening = cast("Any", self.network.listen("b", PORT))
        await asyncio.start_server(lambda *streams: self.accepted.append(streams), sock=listening)

    async def connect(self) -> tuple[Streams, Streams]:
        """Return the streams of a, and those of b."""
        streams = await asyncio.open_connection("b", PORT)
        self._connected.append(streams)
        await asyncio.sleep(0.1)
        return streams, self.accepted[-1]


def test_bytes_arrive_in_order_whatever_becomes_of_segments() -> None:
    async def act(scene: Scene) -> None:
        (_, writer), (reader, _) = await scene.connect()
        sent = b"".join(number.to_bytes(4, "big") for number in range(300))
        for at in range(0, len(sent), 10):
            writer.write(sent[at : at + 10])
        assert await reader.readexactly(len(sent)) == sent

    Scene(message_lost=0.3, message_slow=0.3).run(act)


def test_link_that_is_cut_delivers_when_it_is_mended() -> None:
    async def act(scene: Scene) -> None:
        (_, writer), (reader, _) = await scene.connect()
        scene.network.cut["a", "b"] = None
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S / 2):
                await reader.readexactly(4)
        scene.network.cut.clear()
        scene.network.mend()
        assert await reader.readexactly(4) == b"late"

    Scene().run(act)


def test_link_that_stays_cut_is_given_up_by_the_writer_alone() -> None:
    async def act(scene: Scene) -> None:
        (mine, writer), (theirs, _) = await scene.connect()
        scene.network.cut["a", "b"] = None
        writer.write(b"never")
        with pytest.raises(TimeoutError):
            await mine.read(1)
        assert not theirs.at_eof()
        assert theirs.exception() is None

    Scene().run(act)


def test_process_that_ends_has_its_connections_reset() -> None:
    async def act(scene: Scene) -> None:
        (mine, _), _ = await scene.connect()
        scene.b.is_over = True
        scene.network.end(scene.b, vanishes=False)
        with pytest.raises(ConnectionResetError):
            await mine.read(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("b", PORT)

    Scene().run(act)


def test_connection_to_a_host_that_vanished_is_half_open_until_it_is_back() -> None:
    async def act(scene: Scene) -> None:
        (mine, writer), _ = await scene.connect()
        scene.b.is_over = True
        scene.network.end(scene.b, vanishes=True)
        await asyncio.sleep(100)
        assert mine.exception() is None
        scene.network.come_back("b")
        writer.write(b"are you there")
        with pytest.raises(ConnectionResetError):
            await mine.read(1)

    Scene().run(act)


def test_closing_lets_the_other_side_read_what_was_written() -> None:
    async def act(scene: Scene) -> None:
        (_, writer), (reader, _) = await scene.connect()
        writer.write(b"bye")
        writer.close()
        assert await reader.read() == b"bye"

    Scene().run(act)


def test_connection_breaks_for_both_sides() -> None:
    async def act(scene: Scene) -> None:
        (mine, writer), (theirs, _) = await scene.connect()
        writer.write(b"lost")
        for reader in (mine, theirs):
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(4)

    Scene(connection_reset=1.0).run(act)


def test_writer_waits_while_nobody_reads() -> None:
    async def act(scene: Scene) -> None:
        (_, writer), (reader, _) = await scene.connect()
        scene.b.is_stopped = True
        writer.write(bytes(200_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await writer.drain()
        scene.loop.go_on(scene.b)
        await reader.readexactly(200_000)
        await writer.drain()

    Scene().run(act)


def test_run_that_ends_while_a_process_stands_still_ends() -> None:
    async def act(scene: Scene) -> None:
        standing = scene.loop.create_task(asyncio.sleep(1), context=scene.b.context)
        await asyncio.sleep(0)
        scene.b.is_stopped = True
        await asyncio.sleep(5)
        assert not standing.done()

    Scene().run(act)


def test_process_that_is_stopped_does_nothing_until_it_goes_on() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            ticks.append(loop.time())

    async def act(scene: Scene) -> None:
        ticking = scene.loop.create_task(tick(), context=scene.b.context)
        await asyncio.sleep(2.5)
        scene.b.is_stopped = True
        await asyncio.sleep(10)
        assert len(ticks) == 2
        scene.loop.go_on(scene.b)
        await asyncio.sleep(0.1)
        assert [round(at, 1) for at in ticks] == [1.0, 2.0, 12.5]
        ticking.cancel()

    Scene().run(act)
