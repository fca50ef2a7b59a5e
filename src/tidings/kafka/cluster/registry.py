"""A broker among others: takes a node id, beats, sees who is alive, and leaves.

Time stands still while the order store does not answer, and while this process is stopped:
nobody's beat could be seen then, so nobody is taken for dead for it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from random import Random

import msgspec

from tidings.errors import Fenced, Indeterminate, InvalidRequest, Unavailable
from tidings.kafka.cluster.brokers import (
    CELL,
    Registration,
    Sightings,
    decode_brokers,
    encode_brokers,
    preferred,
    registered,
)
from tidings.kafka.cluster.settings import (
    PREFERENCES_MAX,
    SWAP_PAUSE_S_MAX,
    SWAP_TRIES_MAX,
    RegistrySettings,
)
from tidings.kafka.known_brokers import KnownBroker, KnownBrokers, Listener
from tidings.ports import OrderStore

log = logging.getLogger(__name__)

FIRST_NODE_ID = 1
"""The least that is chosen for a broker that was told none."""


async def register(
    order: OrderStore,
    own: Registration,
    rng: Random,
    *,
    node_id: int | None,
    settings: RegistrySettings,
) -> Registration:
    """Take a node id, the wished one or one that is free; return `own` with it.

    Who comes again to its former address takes its former node id.

    Raises:
        InvalidRequest: Another broker, which is alive, has the wished node id.
        Unavailable: The order store gave no answer, or there are too many brokers.
        Corrupt: The cell holds something else.
    """
    for _ in range(SWAP_TRIES_MAX):
        cell = await order.read_cell(CELL)
        brokers = decode_brokers(cell)
        wished = _free_node_id(brokers, own) if node_id is None else node_id
        own = msgspec.structs.replace(own, node_id=wished)
        holder = next((broker for broker in brokers if broker.node_id == wished), None)
        if holder is not None and _address(holder) != _address(own):
            await _see_it_silent(order, holder, settings)
        if await _swapped(order, cell, registered(brokers, own), own):
            return own
        await asyncio.sleep(rng.uniform(0, SWAP_PAUSE_S_MAX))
    raise Unavailable("other brokers register all the time; start this one again")


def _free_node_id(brokers: Sequence[Registration], own: Registration) -> int:
    for broker in brokers:
        if _address(broker) == _address(own):
            return broker.node_id
    taken = [broker.node_id for broker in brokers]
    return next(
        node_id
        for node_id in range(FIRST_NODE_ID, FIRST_NODE_ID + len(taken) + 1)
        if node_id not in taken
    )


async def _see_it_silent(
    order: OrderStore, holder: Registration, settings: RegistrySettings
) -> None:
    """Make sure that a broker is dead.

    Raises:
        InvalidRequest: It is not.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.session_s
    while loop.time() < until:
        await asyncio.sleep(settings.beat_interval_s)
        for broker in decode_brokers(await order.read_cell(CELL)):
            if broker.node_id == holder.node_id and broker != holder:
                raise InvalidRequest(
                    f"The broker at {broker.host}:{broker.port} has node id {broker.node_id} and is"
                    " alive. Choose another with --node-id, or leave that out."
                )


async def _swapped(
    order: OrderStore, cell: bytes | None, brokers: Iterable[Registration], own: Registration
) -> bool:
    """Put brokers into the cell if it is as it was; return whether `own` is in it now."""
    try:
        return await order.swap_cell(CELL, cell, encode_brokers(brokers))
    except Indeterminate:
        found = decode_brokers(await order.read_cell(CELL))
        return any(broker.incarnation == own.incarnation for broker in found)


def _address(broker: Registration) -> tuple[str, int]:
    return broker.host, broker.port


class Registry:
    """One broker's view of all, once it is registered."""

    def __init__(
        self,
        order: OrderStore,
        own: Registration,
        rng: Random,
        *,
        settings: RegistrySettings,
        is_linked: Callable[[int], bool],
    ) -> None:
        """Begin as the only one; `is_linked` says whether there is a connection to a broker."""
        self._order = order
        self.own = own
        self._rng = rng
        self._settings = settings
        self._is_linked = is_linked
        self._sightings = Sightings()
        # Time in which beats could be seen, and when it was last advanced.
        self._clock_s = 0.0
        self._noted_at = asyncio.get_running_loop().time()
        # By node id, this one included.
        self._live: tuple[Registration, ...] = (own,)
        # What `preferred` found with them, by listener and thing.
        self._preferences: dict[tuple[str | None, str], int] = {}
        self._is_away = False
        self._is_leaving = False
        self._beaten_at = self._noted_at
        # Called when other brokers came, moved or died.
        self.observers: list[Callable[[], None]] = []

    # What is known ------------------------------------------------------------------------------

    @property
    def registrations(self) -> Sequence[Registration]:
        """The brokers that serve and are alive; this one if there is no other."""
        return self._live

    @property
    def node_ids(self) -> Sequence[int]:
        """See `KnownBrokers`."""
        return [broker.node_id for broker in self._live]

    @property
    def beat_age_s(self) -> float:
        """For how long the others have not heard from this broker."""
        return asyncio.get_running_loop().time() - self._beaten_at

    def live(self, listener: Listener) -> Sequence[KnownBroker]:
        """See `KnownBrokers`; where others are, this one is where it told them."""
        return [
            KnownBroker(each.node_id, found.host, found.port, each.rack)
            for each in self._live
            if (found := each.listener_named(listener.name)) is not None
        ]

    def preferred(self, thing: str, listener: Listener | None = None) -> int:
        """See `KnownBrokers`; this one if none has such a listener."""
        key = (None if listener is None else listener.name, thing)
        found = self._preferences.get(key)
        if found is None:
            if len(self._preferences) >= PREFERENCES_MAX:
                self._preferences.clear()
            found = preferred(thing, self._node_ids_on(listener) or [self.own.node_id])
            self._preferences[key] = found
        return found

    def _node_ids_on(self, listener: Listener | None) -> Sequence[int]:
        if listener is None:
            return self.node_ids
        return [each.node_id for each in self.live(listener)]

    # Beating ------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Say that this broker serves, and beat until cancelled.

        Raises:
            Fenced: Another broker has taken the node id.
            Corrupt: The cell holds something else.
        """
        while not self._is_leaving:
            try:
                await self._beat()
            except (Unavailable, Indeterminate) as error:
                self._note_answers(error)
            else:
                self._note_answers(None)
            await asyncio.sleep(self._settings.beat_interval_s)

    async def look(self) -> None:
        """See who is there, without being there.

        Raises:
            Unavailable, Corrupt: As the order store says.
        """
        self._note(decode_brokers(await self._order.read_cell(CELL)))

    async def _beat(self) -> None:
        for _ in range(SWAP_TRIES_MAX):
            cell = await self._order.read_cell(CELL)
            brokers = decode_brokers(cell)
            self._check_own(brokers)
            self._note(brokers)
            if self._is_leaving:
                return
            own = msgspec.structs.replace(self.own, beat=self.own.beat + 1, is_serving=True)
            kept = registered([each for each in brokers if not self._is_forgotten(each)], own)
            if await self._order.swap_cell(CELL, cell, encode_brokers(kept)):
                self.own = own
                self._note(kept)
                self._beaten_at = self._noted_at
                return
            await asyncio.sleep(self._rng.uniform(0, SWAP_PAUSE_S_MAX))

    def _check_own(self, brokers: Sequence[Registration]) -> None:
        for broker in brokers:
            if broker.node_id != self.own.node_id or broker.incarnation == self.own.incarnation:
                continue
            if _address(broker) == _address(self.own):
                raise Fenced(
                    "another broker tells clients that it is reached at"
                    f" {broker.host}:{broker.port}, as this one does, and has taken its node id."
                    " Give each broker an address of its own with --host or --advertise"
                )
            raise Fenced(
                f"another broker has registered with node id {broker.node_id}:"
                f" the one at {broker.host}:{broker.port}. Let each choose, or choose others"
            )

    def note_ended(self, node_id: int) -> None:
        """Take a broker for dead until it beats again: its process has ended."""
        self._sightings.note_ended(node_id)
        live = [each for each in self._live if self._is_alive(each)]
        self._replace(live or [self.own])

    def _note_answers(self, error: Exception | None) -> None:
        """Say once that the store is away, and once that it is back."""
        if error is not None and not self._is_away:
            log.warning("cannot tell other brokers that this one is alive: %s", error)
        if error is None and self._is_away:
            log.info("other brokers can see again that this one is alive")
        self._is_away = error is not None

    def _note(self, brokers: Sequence[Registration]) -> None:
        now = asyncio.get_running_loop().time()
        self._clock_s += min(now - self._noted_at, 2 * self._settings.beat_interval_s)
        self._noted_at = now
        self._sightings.note(brokers, self._clock_s)
        live = [broker for broker in brokers if broker.is_serving and self._is_alive(broker)]
        self._replace(sorted(live, key=lambda broker: broker.node_id) or [self.own])

    def _is_alive(self, broker: Registration) -> bool:
        settings = self._settings
        if broker.node_id == self.own.node_id:
            return not self._is_leaving
        if self._sightings.has_ended(broker.node_id):
            return False
        is_linked = self._is_linked(broker.node_id)
        session_s = settings.session_s if is_linked else settings.unlinked_session_s
        return self._sightings.silent_s(broker.node_id, self._clock_s) <= session_s

    def _is_forgotten(self, broker: Registration) -> bool:
        silent_s = self._sightings.silent_s(broker.node_id, self._clock_s)
        return silent_s > self._settings.forget_s

    def _replace(self, live: Sequence[Registration]) -> None:
        former, self._live = self._live, tuple(live)
        if _lives(former) == _lives(self._live):
            return
        self._preferences.clear()
        fields = {"brokers": [broker.node_id for broker in self._live]}
        log.info("brokers that are alive: %s", _told(self._live), extra={"fields": fields})
        for observe in self.observers:
            observe()

    # Leaving ------------------------------------------------------------------------------------

    async def leave(self) -> None:
        """Let others know that this broker ends; if they cannot be told, they will notice."""
        self._is_leaving = True
        try:
            async with asyncio.timeout(self._settings.leave_patience_s):
                await self._leave()
        except (TimeoutError, Unavailable, Indeterminate) as error:
            log.warning("cannot tell other brokers that this one ends: %s", error)

    async def _leave(self) -> None:
        is_left = False
        while not is_left:
            cell = await self._order.read_cell(CELL)
            brokers = decode_brokers(cell)
            self._note(brokers)
            others = [each for each in brokers if each.incarnation != self.own.incarnation]
            is_left = len(others) == len(brokers) or await self._order.swap_cell(
                CELL, cell, encode_brokers(others)
            )


def _lives(brokers: Sequence[Registration]) -> list[Registration]:
    """Return what matters of brokers, to compare."""
    return [msgspec.structs.replace(each, beat=0, is_serving=True) for each in brokers]


def _told(brokers: Sequence[Registration]) -> str:
    return ", ".join(f"{broker.node_id} at {broker.host}:{broker.port}" for broker in brokers)


_known_brokers: type[KnownBrokers] = Registry
