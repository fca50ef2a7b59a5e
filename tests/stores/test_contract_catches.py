"""The contract suites see what is wrong: each planted bug is caught by the check that is for it."""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
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
    blob_store_checks,
    check_blob_store,
    check_order_store,
    check_peers,
    order_store_checks,
    peers_checks,
)
from tidings.testing.contract.blob import BlobPromise
from tidings.testing.contract.order_demands import OrderPromise
from tidings.testing.contract.peers import PeersPromise
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


def cases(bugs: Sequence[tuple[str, str, object]]) -> list[Any]:
    return [pytest.param(check, subject, id=name) for check, name, subject in bugs]


def breaches(check: Check[T], make_of: Callable[[int], Make[T]]) -> list[str]:
    """Return what the check says to several seeds."""
    found = []
    for seed in range(SEEDS):
        try:
            run(check(make_of(seed), seed))
        except ContractError as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize(("check", "clients"), cases(planted_order_bugs.BUGS))
def test_planted_bug_of_an_order_store_is_caught(
    check: str, clients: Callable[[int, int], Sequence[OrderStore]]
) -> None:
    found = breaches(ORDER_CHECKS[check], partial(stores, clients))
    assert found
    assert any(found[0].startswith(f'"{promise}" is broken: ') for promise in OrderPromise)


@pytest.mark.parametrize(("check", "clients"), cases(planted_blob_bugs.BUGS))
def test_planted_bug_of_a_blob_store_is_caught(
    check: str, clients: Callable[[int, int], Sequence[BlobStore]]
) -> None:
    assert breaches(BLOB_CHECKS[check], partial(stores, clients))


@pytest.mark.parametrize(("check", "network"), cases(memory_network.BUGS))
def test_planted_bug_of_a_network_is_caught(
    check: str, network: type[memory_network.MemoryNetwork]
) -> None:
    make = memory_network.networks(partial(network, 0))
    with pytest.raises(ContractError):
        run(PEERS_CHECKS[check](make))


@pytest.mark.parametrize(
    ("checks", "bugs"),
    [
        (ORDER_CHECKS, planted_order_bugs.BUGS),
        (BLOB_CHECKS, planted_blob_bugs.BUGS),
        (PEERS_CHECKS, memory_network.BUGS),
    ],
    ids=["order", "blob", "peers"],
)
def test_every_check_has_a_planted_bug_of_its_own(
    checks: dict[str, object], bugs: Sequence[tuple[str, str, object]]
) -> None:
    assert {check for check, _, _ in bugs} == checks.keys()


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


@pytest.mark.parametrize("promises", [OrderPromise, BlobPromise, PeersPromise])
def test_every_promise_is_a_sentence_of_the_ports_and_is_held_to(promises: type[StrEnum]) -> None:
    contract = " ".join(inspect.getsource(ports).split())
    package = Path(inspect.getfile(Check)).parent
    suites = "\n".join(path.read_text() for path in sorted(package.glob("*.py")))
    for promise in promises:
        assert promise.value in contract, promise
        assert f"{promises.__name__}.{promise.name}" in suites, promise
