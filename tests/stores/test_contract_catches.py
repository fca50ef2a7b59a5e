"""The contract suites see what is wrong: each planted bug is caught by the check that is for it."""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

import memory_network
import planted_blob_bugs
import planted_order_bugs
import pytest

from tidings import ports
from tidings.ports import BlobStore, OrderStore
from tidings.testing.contract import (
    Check,
    ContractError,
    Make,
    blob,
    blob_store_checks,
    check_blob_store,
    check_order_store,
    check_peers,
    order,
    order_store_checks,
    peers,
    peers_checks,
)
from tidings.testing.loop import run

T = TypeVar("T")

SEEDS = 10
"""A race that overlooks a bug in so many runs is no use."""

ORDER_CHECKS = order_store_checks()
BLOB_CHECKS = blob_store_checks()
PEERS_CHECKS = peers_checks(is_lossless=True)


def stores(make_clients: Callable[[int, int], Sequence[T]], seed: int) -> Make[T]:
    @asynccontextmanager
    async def make(count: int) -> AsyncIterator[Sequence[T]]:
        yield make_clients(count, seed)

    return make


def breaches(check: Check[T], make_of: Callable[[int], Make[T]]) -> list[str]:
    """Return what the check says to several seeds."""
    found = []
    for seed in range(SEEDS):
        try:
            run(check(make_of(seed), seed))
        except ContractError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize(
    ("check", "bug", "clients"),
    planted_order_bugs.BUGS,
    ids=[bug for _, bug, _ in planted_order_bugs.BUGS],
)
def test_planted_bug_of_an_order_store_is_caught(
    check: str, bug: str, clients: Callable[[int, int], Sequence[OrderStore]]
) -> None:
    found = breaches(ORDER_CHECKS[check], partial(stores, clients))
    assert found, f"{check} does not see {bug}"
    assert " is broken: " in found[0]


@pytest.mark.parametrize(
    ("check", "bug", "clients"),
    planted_blob_bugs.BUGS,
    ids=[bug for _, bug, _ in planted_blob_bugs.BUGS],
)
def test_planted_bug_of_a_blob_store_is_caught(
    check: str, bug: str, clients: Callable[[int, int], Sequence[BlobStore]]
) -> None:
    assert breaches(BLOB_CHECKS[check], partial(stores, clients)), f"{check} does not see {bug}"


@pytest.mark.parametrize(
    ("check", "bug", "network"),
    memory_network.BUGS,
    ids=[bug for _, bug, _ in memory_network.BUGS],
)
def test_planted_bug_of_a_network_is_caught(
    check: str, bug: str, network: type[memory_network.MemoryNetwork]
) -> None:
    make = memory_network.networks(partial(network, 0))
    with pytest.raises(ContractError):
        run(PEERS_CHECKS[check](make))
    assert bug


def test_every_check_catches_a_planted_bug() -> None:
    for checks, bugs in [
        (ORDER_CHECKS, planted_order_bugs.BUGS),
        (BLOB_CHECKS, planted_blob_bugs.BUGS),
        (PEERS_CHECKS, memory_network.BUGS),
    ]:
        caught: dict[str, None] = {check: None for check, _, _ in bugs}  # type: ignore[attr-defined]
        assert sorted(caught) == sorted(checks)  # type: ignore[call-overload]


def test_whole_suites_pass_what_is_correct_and_fail_what_is_not() -> None:
    correct_order = stores(planted_order_bugs.Planted.clients, 0)
    correct_blobs = stores(planted_blob_bugs.Planted.clients, 0)
    run(check_order_store(correct_order))
    run(check_blob_store(correct_blobs))
    run(
        check_peers(
            memory_network.networks(partial(memory_network.MemoryNetwork, 0)), is_lossless=True
        )
    )
    with pytest.raises(ContractError):
        run(check_order_store(stores(planted_order_bugs.Overwrites.clients, 0)))
    with pytest.raises(ContractError):
        run(check_blob_store(stores(planted_blob_bugs.CutsBlobs.clients, 0)))
    with pytest.raises(ContractError):
        run(
            check_peers(
                memory_network.networks(partial(memory_network.SendsText, 0)), is_lossless=False
            )
        )


@pytest.mark.parametrize("module", [order, blob, peers])
def test_every_promise_is_a_sentence_of_the_ports_and_is_held_to(module: Any) -> None:
    (promises,) = (
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum
    )
    contract = " ".join(inspect.getsource(ports).split())
    for promise in promises:
        assert promise.value in contract, promise
        assert f"{promises.__name__}.{promise.name}" in inspect.getsource(module)
