"""One named check of a port's contract, and what it says when the contract is broken."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")

CLIENT_COUNT = 3
"""How many clients of one store a check asks for."""

Make = Callable[[int], AbstractAsyncContextManager[Sequence[T]]]
"""Makes a fresh, empty store, or network, and yields so many separate clients, or nodes, of it."""


class ContractError(AssertionError):
    """A port's contract is broken; the text quotes the sentence of `tidings.ports` and says how."""


def require(*, condition: bool, promise: str, found: str) -> None:
    """Raise `ContractError` unless `condition` holds."""
    if not condition:
        raise ContractError(f'"{promise}" is broken: {found}')


def require_equal(found: object, expected: object, promise: str, *, of: str) -> None:
    """Raise `ContractError` unless what was found is as expected."""
    if found != expected:
        answers = f"{_shortened(found)}, not {_shortened(expected)}"
        require(condition=False, promise=promise, found=f"{of} gave {answers}")


TEXT_MAX = 200
"""Characters of one value in an error."""


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}… ({len(text)} characters)"


@dataclass(frozen=True, slots=True)
class Trial(Generic[T]):
    """What a check works with."""

    clients: Sequence[T]
    """Separate clients of one fresh store."""
    seed: str

    def random(self, purpose: str) -> Random:
        """Return a stream of random numbers of its own for each purpose."""
        return Random(f"{self.seed}/{purpose}")


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One check, by itself: `await check(make, seed)`."""

    name: str
    body: Callable[[Trial[T]], Awaitable[None]]

    async def __call__(self, make: Make[T], seed: int = 0) -> None:
        """Try it on a fresh store.

        Raises:
            ContractError: The contract is broken.
        """
        async with make(CLIENT_COUNT) as clients:
            await self.body(Trial(clients, f"{seed}/contract/{self.name}"))


def named(*bodies: Callable[[Trial[T]], Awaitable[None]]) -> dict[str, Check[T]]:
    """Return the checks with these bodies by the names of the functions."""
    return {body.__name__: Check(body.__name__, body) for body in bodies}
