"""The ports over lin-kv and seq-kv, against the workbench's services."""

import asyncio
from random import Random

import pytest

from tidings.errors import Corrupt, Indeterminate, Unavailable
from tidings.ports import Appended, Occupied, Unsettled
from tidings.stores.maelstrom_kv import (
    TIMEOUT_S,
    CallFailed,
    MaelstromBlobStore,
    MaelstromOrderStore,
)
from tidings.testing.loop import run
from tidings.types import Json, Slot
from tidings.workbench.services import LinKV, SeqKV, Service

Body = dict[str, Json]

LATENCY_S = 0.1


class Wire:
    """The services, and what goes wrong on the way to them."""

    def __init__(self, seed: int = 0) -> None:
        self.services: dict[str, Service] = {
            "lin-kv": LinKV(),
            "seq-kv": SeqKV(Random(f"{seed}/seq-kv")),
        }
        # What becomes of the next calls: "lost request", "lost reply", or an error's code.
        self.script: list[str | int] = []
        self.requests: list[Body] = []

    def ask(self, client: str, service: str, body: Body) -> Body:
        return self.services[service].handle(client, body)


class WireCaller:
    """One node's end of the wire."""

    def __init__(self, wire: Wire, client: str = "n0") -> None:
        self._wire = wire
        self._client = client

    async def call(self, destination: str, body: Body, *, timeout_s: float) -> Body:
        self._wire.requests.append(body)
        step = self._wire.script.pop(0) if self._wire.script else ""
        if isinstance(step, int):
            raise CallFailed(step, "as the script says")
        await asyncio.sleep(LATENCY_S)
        if step != "lost request":
            reply = self._wire.ask(self._client, destination, body)
            await asyncio.sleep(LATENCY_S)
            if step != "lost reply":
                if reply["type"] == "error":
                    raise CallFailed(reply["code"], reply["text"])
                return reply
        await asyncio.sleep(timeout_s)
        raise Indeterminate(f"{destination} did not answer")


def order_of(wire: Wire, client: str = "n0") -> MaelstromOrderStore:
    return MaelstromOrderStore(WireCaller(wire, client), "journal")


def blobs_of(wire: Wire, client: str = "n0", life: int = 1) -> MaelstromBlobStore:
    return MaelstromBlobStore(WireCaller(wire, client), "journal", client, Random(f"life {life}"))


def write(wire: Wire, service: str, key: str, value: Json) -> None:
    """Write as somebody else."""
    wire.ask("meddler", service, {"type": "write", "key": key, "value": value})


# Slots ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["lost request", "lost reply"])
def test_append_without_an_answer_is_unsettled_and_settles_when_repeated(loss: str) -> None:
    async def main() -> None:
        wire = Wire()
        order = order_of(wire)
        wire.script = [loss]
        assert isinstance(await order.append(Slot(0), b"mine"), Unsettled)
        assert await order.append(Slot(0), b"mine") == Appended()
        assert await order.append(Slot(0), b"mine") == Appended()
        assert await order.read(Slot(0), 2) == [b"mine"]

    run(main())


@pytest.mark.parametrize("code", [0, 11, 13])
def test_append_that_is_refused_is_unsettled(code: int) -> None:
    async def main() -> None:
        wire = Wire()
        wire.script = [code]
        assert isinstance(await order_of(wire).append(Slot(0), b"mine"), Unsettled)

    run(main())


def test_append_to_a_slot_of_another_says_so_and_changes_nothing() -> None:
    async def main() -> None:
        wire = Wire()
        assert await order_of(wire, "n1").append(Slot(0), b"theirs") == Appended()
        assert await order_of(wire).append(Slot(0), b"mine") == Occupied()
        assert await order_of(wire).read(Slot(0), 1) == [b"theirs"]

    run(main())


def test_read_stops_at_the_first_empty_slot() -> None:
    async def main() -> None:
        wire = Wire()
        order = order_of(wire)
        for slot, entry in enumerate([b"a", b"b", b"c"]):
            await order.append(Slot(slot), entry)
        assert await order.read(Slot(0), 2) == [b"a", b"b"]
        assert await order.read(Slot(1), 9) == [b"b", b"c"]
        assert await order.read(Slot(3), 9) == []

    run(main())


def test_read_never_steps_over_an_empty_slot() -> None:
    """Slots are read side by side: a later one may be filled after an earlier one was seen."""

    async def main() -> None:
        wire = Wire()
        await order_of(wire).append(Slot(0), b"a")
        await order_of(wire).append(Slot(2), b"c")
        assert await order_of(wire).read(Slot(0), 3) == [b"a"]

    run(main())


def test_read_of_several_slots_takes_one_round_trip() -> None:
    async def main() -> None:
        wire = Wire()
        for slot in range(5):
            await order_of(wire).append(Slot(slot), b"x")
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await order_of(wire).read(Slot(0), 5) == [b"x"] * 5
        assert loop.time() - started == pytest.approx(2 * LATENCY_S)

    run(main())


@pytest.mark.parametrize("step", ["lost request", "lost reply", 11, 13])
def test_read_of_which_a_part_has_no_answer_is_unavailable(step: str | int) -> None:
    async def main() -> None:
        wire = Wire()
        await order_of(wire).append(Slot(0), b"a")
        wire.script = ["", step]
        with pytest.raises(Unavailable):
            await order_of(wire).read(Slot(0), 3)

    run(main())


@pytest.mark.parametrize("value", ["no base64!", 7, ["x"], "é"])
def test_slot_that_holds_something_else_is_corrupt(value: Json) -> None:
    async def main() -> None:
        wire = Wire()
        write(wire, "lin-kv", "journal/0", value)
        with pytest.raises(Corrupt):
            await order_of(wire).read(Slot(0), 1)

    run(main())


def test_call_has_the_deadline_of_the_store() -> None:
    async def main() -> None:
        wire = Wire()
        wire.script = ["lost request"]
        loop = asyncio.get_running_loop()
        started = loop.time()
        await order_of(wire).append(Slot(0), b"x")
        assert loop.time() - started == pytest.approx(TIMEOUT_S + LATENCY_S)

    run(main())


# Cells ------------------------------------------------------------------------------------------


def test_cell_is_set_only_from_what_it_holds() -> None:
    async def main() -> None:
        order = order_of(Wire())
        assert await order.read_cell("x") is None
        assert not await order.swap_cell("x", b"1", b"2")
        assert await order.swap_cell("x", None, b"1")
        assert not await order.swap_cell("x", None, b"2")
        assert await order.swap_cell("x", b"1", b"2")
        assert await order.read_cell("x") == b"2"

    run(main())


@pytest.mark.parametrize("old", [None, b"1"])
def test_cell_swap_without_an_answer_is_indeterminate(old: bytes | None) -> None:
    async def main() -> None:
        wire = Wire()
        order = order_of(wire)
        if old is not None:
            await order.swap_cell("x", None, old)
        wire.script = ["lost reply"]
        with pytest.raises(Indeterminate):
            await order.swap_cell("x", old, b"2")
        assert await order.read_cell("x") == b"2"

    run(main())


def test_cell_read_without_an_answer_is_unavailable() -> None:
    async def main() -> None:
        wire = Wire()
        wire.script = ["lost reply"]
        with pytest.raises(Unavailable):
            await order_of(wire).read_cell("x")

    run(main())


# Blobs ------------------------------------------------------------------------------------------


def test_blob_is_found_once_it_was_put_and_may_be_put_again() -> None:
    async def main() -> None:
        blobs = blobs_of(Wire())
        await blobs.put("x", b"1")
        await blobs.put("x", b"1")
        assert await blobs.get("x") == b"1"

    run(main())


@pytest.mark.parametrize("step", ["lost request", "lost reply", 11, 13])
def test_blob_put_without_an_answer_is_unavailable(step: str | int) -> None:
    async def main() -> None:
        wire = Wire()
        wire.script = [step]
        with pytest.raises(Unavailable):
            await blobs_of(wire).put("x", b"1")

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_blob_of_another_node_is_found_however_stale_the_view(seed: int) -> None:
    async def main() -> None:
        wire = Wire(seed)
        reader, writer = blobs_of(wire, "n0"), blobs_of(wire, "n1")
        for number in range(20):
            await writer.put(f"{number}", b"%d" % number)
            assert await reader.get(f"{number}") == b"%d" % number

    run(main())


def test_blob_of_another_node_is_found_by_every_life_of_a_node() -> None:
    """A new life of a node must not write what the one before wrote: that would change nothing."""

    async def main() -> None:
        wire = Wire()
        writer = blobs_of(wire, "n1")
        for life in range(20):
            await writer.put(f"{life}", b"x")
            assert await blobs_of(wire, "n0", life).get(f"{life}") == b"x"

    run(main())


def test_blob_that_was_never_put_is_missing() -> None:
    async def main() -> None:
        wire = Wire()
        await blobs_of(wire, "n1").put("x", b"1")
        assert await blobs_of(wire).get("y") is None

    run(main())


def test_blob_get_without_an_answer_is_unavailable_never_missing() -> None:
    async def main() -> None:
        for lost_call in range(3):
            wire = Wire()
            wire.script = [*[""] * lost_call, "lost reply"]
            with pytest.raises(Unavailable):
                await blobs_of(wire).get("x")

    run(main())


def test_blob_that_holds_something_else_is_corrupt() -> None:
    async def main() -> None:
        wire = Wire()
        write(wire, "seq-kv", "journal/x", "no base64!")
        with pytest.raises(Corrupt):
            await blobs_of(wire).get("x")

    run(main())
