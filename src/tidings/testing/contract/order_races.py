"""Races of several clients of one order store, whose recorded calls are judged."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Any

from tidings.errors import Indeterminate, Unavailable
from tidings.ports import OrderStore, Trimmed, Unsettled
from tidings.testing.contract.check import require
from tidings.testing.contract.history import History, RecordingOrderStore
from tidings.testing.contract.order_demands import OrderPromise, OrderTrial
from tidings.testing.contract.unreliable import (
    TRIES_MAX,
    Link,
    UnreliableOrderStore,
    until_answered,
)
from tidings.types import Slot

RACE_SLOTS = 32
RACE_SWAPS = 12
"""How often each client of a race tries to swap."""

READ_SLOTS_MAX = 6
NAP_S_MAX = 0.03
"""How long a writer may sleep while the others go on."""


async def appends_that_race_are_linearizable(trial: OrderTrial) -> None:
    """Writers and readers of the same slots, over links that are slow and lose and delay."""
    await _race_for_slots(trial, OrderPromise.LINEARIZABLE, _write, _read)


async def trims_that_race_are_linearizable(trial: OrderTrial) -> None:
    """The same, while the slots are trimmed close behind."""
    promise = OrderPromise.ATOMIC_TRIM if trial.clients[0].can_trim else OrderPromise.CANNOT_TRIM
    await _race_for_slots(trial, promise, _write, _read, _trim)


async def swaps_that_race_are_linearizable(trial: OrderTrial) -> None:
    """Clients that read a cell and swap what they saw for something new."""
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            rng = trial.random(f"client {number}")
            client = _recorded(store, history, Link(rng, tasks))
            tasks.create_task(_swap(client, rng, f"{number}"))
    for store in trial.clients:
        client = RecordingOrderStore(store, history)
        await until_answered(partial(client.read_cell, "x"))
    history.judge(OrderPromise.SWAP)


Part = Callable[[RecordingOrderStore, Random, str], Coroutine[Any, Any, None]]
"""What one task of a race does, until all slots are filled."""


async def _race_for_slots(trial: OrderTrial, promise: str, *parts: Part) -> None:
    history = History()
    async with asyncio.TaskGroup() as tasks:
        for number, store in enumerate(trial.clients):
            for part in parts:
                name = f"{part.__name__.strip('_')} {number}"
                rng = trial.random(name)
                client = _recorded(store, history, Link(rng, tasks))
                tasks.create_task(part(client, rng, name))
    for store in trial.clients:
        client = RecordingOrderStore(store, history)
        for slot in range(RACE_SLOTS + 1):
            await until_answered(partial(client.read, Slot(slot), 1))
    history.judge(promise)


def _recorded(store: OrderStore, history: History, link: Link) -> RecordingOrderStore:
    return RecordingOrderStore(UnreliableOrderStore(store, link), history)


async def _write(store: RecordingOrderStore, rng: Random, name: str) -> None:
    for slot in range(RACE_SLOTS):
        entry = f"{name}, slot {slot}".encode()
        for _ in range(TRIES_MAX):
            if rng.random() < 0.1:
                await asyncio.sleep(rng.uniform(0, NAP_S_MAX))
            if not isinstance(await store.append(Slot(slot), entry), Unsettled):
                break
        else:
            require(
                condition=False,
                promise=OrderPromise.REPEAT,
                found=f"{TRIES_MAX} appends in a row got no answer",
            )


async def _read(store: RecordingOrderStore, rng: Random, _name: str) -> None:
    end = 0
    for _ in range(TRIES_MAX):
        if end >= RACE_SLOTS:
            break
        start = max(0, end - rng.randrange(3))
        end = max(end, await _end_seen(store, start, 1 + rng.randrange(READ_SLOTS_MAX)))


async def _trim(store: RecordingOrderStore, rng: Random, _name: str) -> None:
    end = 0
    for _ in range(TRIES_MAX):
        if end >= RACE_SLOTS:
            break
        end = max(end, await _end_seen(store, end, READ_SLOTS_MAX))
        if rng.random() < 0.5:
            with contextlib.suppress(Unavailable):
                await store.trim(Slot(max(0, end - rng.randrange(3))))


async def _end_seen(store: RecordingOrderStore, start: int, count_max: int) -> int:
    """Read; return a slot below which all were seen to be filled."""
    try:
        found = await store.read(Slot(start), count_max)
    except Unavailable:
        return 0
    return start + (1 if isinstance(found, Trimmed) else len(found))


async def _swap(store: RecordingOrderStore, rng: Random, name: str) -> None:
    seen: bytes | None = None
    for number in range(RACE_SWAPS):
        if rng.random() < 0.7:
            with contextlib.suppress(Unavailable):
                seen = await store.read_cell("x")
        new = f"{name}, swap {number}".encode()
        with contextlib.suppress(Indeterminate, Unavailable):
            if await store.swap_cell("x", seen, new):
                seen = new
