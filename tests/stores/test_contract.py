"""Every store of this project against the shipped contract suites."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from real_loop import file_blobs, run_real, sqlite_order
from slow_services import blob_stores, order_stores

from tidings.ports import BlobStore, OrderStore
from tidings.stores.memory import MemoryBlobStore, MemoryOrderStore
from tidings.testing.contract import blob_store_checks, order_store_checks
from tidings.testing.loop import run

ORDER_CHECKS = order_store_checks()
BLOB_CHECKS = blob_store_checks()

each_order_check = pytest.mark.parametrize("name", ORDER_CHECKS)
each_blob_check = pytest.mark.parametrize("name", BLOB_CHECKS)
a_few_seeds = pytest.mark.parametrize("seed", range(3))
many_seeds = pytest.mark.parametrize("seed", range(8))

LATE_CHANCE = 0.05
"""How many messages of a bad wire may come after their caller gave up."""


def races(names: dict[str, object]) -> list[str]:
    return [name for name in names if name.endswith("linearizable")]


@asynccontextmanager
async def memory_order(count: int) -> AsyncIterator[Sequence[OrderStore]]:
    yield [MemoryOrderStore()] * count


@asynccontextmanager
async def memory_blobs(count: int) -> AsyncIterator[Sequence[BlobStore]]:
    yield [MemoryBlobStore()] * count


@a_few_seeds
@each_order_check
def test_memory_order_store_keeps_the_contract(name: str, seed: int) -> None:
    run(ORDER_CHECKS[name](memory_order, seed))


@a_few_seeds
@each_blob_check
def test_memory_blob_store_keeps_the_contract(name: str, seed: int) -> None:
    run(BLOB_CHECKS[name](memory_blobs, seed))


@each_order_check
def test_sqlite_order_store_keeps_the_contract(name: str) -> None:
    run_real(ORDER_CHECKS[name](sqlite_order))


@each_blob_check
def test_file_blob_store_keeps_the_contract(name: str) -> None:
    run_real(BLOB_CHECKS[name](file_blobs))


@a_few_seeds
@each_order_check
def test_maelstrom_order_store_keeps_the_contract(name: str, seed: int) -> None:
    run(ORDER_CHECKS[name](order_stores(seed, late_chance=0), seed))


@a_few_seeds
@each_blob_check
def test_maelstrom_blob_store_keeps_the_contract(name: str, seed: int) -> None:
    run(BLOB_CHECKS[name](blob_stores(seed, late_chance=0), seed))


@many_seeds
@pytest.mark.parametrize("name", races({**ORDER_CHECKS}))
def test_maelstrom_order_store_behind_late_replies_keeps_the_contract(name: str, seed: int) -> None:
    run(ORDER_CHECKS[name](order_stores(seed, LATE_CHANCE), seed))


@many_seeds
@pytest.mark.parametrize("name", races({**BLOB_CHECKS}))
def test_maelstrom_blob_store_behind_late_replies_keeps_the_contract(name: str, seed: int) -> None:
    run(BLOB_CHECKS[name](blob_stores(seed, LATE_CHANCE), seed))


def test_contract_has_races_for_both_stores() -> None:
    assert len(races({**ORDER_CHECKS})) == 3
    assert len(races({**BLOB_CHECKS})) == 2
