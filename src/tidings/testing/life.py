"""One life of one node, from its start to its crash, and its way to the stores.

What a store does happens in the loop, not in the caller's task: a call whose caller gave up, or
whose node died, may still take effect later.
"""

import asyncio
import math
from collections.abc import Callable

from tidings.maelstrom.node import Node
from tidings.testing.trace import Trace
from tidings.testing.weather import Gate, Weather

Crash = Callable[["Life", str], None]
"""Ends a life early; takes the fault that does it."""

Answer = Callable[[], None]
"""Hands a store's answer to who waits for it."""

CarryOut = Callable[[], Answer]
"""Does at once what a store does."""


class Life:
    """A node's process, as the world sees it."""

    def __init__(
        self, node_id: str, number: int, *, weather: Weather, trace: Trace, crash: Crash
    ) -> None:
        self.node_id = node_id
        self.number = number
        self.is_over = False
        self.gate = Gate()
        # Whether its calls reach the stores.
        self.is_cut_off = False
        # Whether it hears no answer, whether its calls do not even get out, and from when (loop
        # time) on the stores refuse it: at once, and what did not get out.
        self.hears_nothing = False
        self.is_connecting = False
        self.refused_from_s = math.inf
        # Set by who builds the node.
        self.node: Node
        self.task: asyncio.Task[None]
        self.call_timeout_s = weather.call_timeout_s
        self._weather = weather
        self._trace = trace
        self._crash = crash

    def reach_stores(self) -> None:
        """Have its calls reach the stores again, and their answers it."""
        self.is_cut_off = self.hears_nothing = self.is_connecting = False
        self.refused_from_s = math.inf

    def call_store(self, kind: str, carry_out: CarryOut, refuse: Answer | None = None) -> None:
        """Have a call carried out some time, or never.

        Args:
            kind: "append" for a conditional append, else "call".
            carry_out: Does at once what the store does; returns what hands over the answer.
            refuse: Says at once that nothing was done, where stores can.
        """
        self.gate.pass_through(lambda: self._begin(kind, carry_out, refuse))

    def _begin(self, kind: str, carry_out: CarryOut, refuse: Answer | None) -> None:
        if self.is_over:
            return
        fate = self._weather.fate(kind)
        if self.is_cut_off:
            self._trace.count("call-cut-off")
            return
        loop = asyncio.get_running_loop()
        if self.is_connecting or loop.time() >= self.refused_from_s:
            if refuse is not None:
                self._trace.count("call-refused")
                loop.call_at(max(loop.time(), self.refused_from_s), self._hear, refuse)
            return
        if fate.delay_s is None:
            if fate.crash is not None:
                self._crash(self, fate.crash)
            return
        self._weather.note_arrival(loop.time() + fate.delay_s)

        def arrive() -> None:
            answer = carry_out()
            if fate.is_answered and not self.hears_nothing:
                loop.call_later(self._weather.answer_delay_s(), self._hear, answer)
            elif fate.crash is not None:
                self._crash(self, fate.crash)

        loop.call_later(fate.delay_s, arrive)

    def _hear(self, answer: Answer) -> None:
        if not self.is_over:
            self.gate.pass_through(answer)
