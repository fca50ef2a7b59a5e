"""The designs of challenge 5b, one module each; `docs/designs.md` tells their story.

A design's module has `create(network, rng) -> Design`. Only the chosen one is imported: a node
must answer soon after its start.
"""

import random
from importlib import import_module

from tidings.errors import InvalidRequest
from tidings.maelstrom.design import Design, Network
from tidings.maelstrom.node import MakeDesign

MODULES = {
    "journal": "tidings.maelstrom.designs.journal",
    "naive": "tidings.maelstrom.designs.naive",
    "offset-list": "tidings.maelstrom.designs.offset_list",
    "local-index": "tidings.maelstrom.designs.local_index",
    "gossip": "tidings.maelstrom.designs.gossip",
}
"""Every design by its name, the default first."""


def load(name: str, *, gossip: bool = True, linger_s: float | None = None) -> MakeDesign:
    """Return the constructor of the design called `name`, which imports it when it is called.

    Without `gossip`, nodes of the `journal` design learn everything from the services; with
    `linger_s` they leave that time between two publishes instead of their default.

    Raises:
        InvalidRequest: There is no such design, or it does not know these options.
    """
    if name not in MODULES:
        raise InvalidRequest(f"no design {name!r}; choose one of {', '.join(MODULES)}")
    if not gossip and name != "journal":
        raise InvalidRequest(f"only the journal design can be told not to gossip, not {name}")
    if linger_s is not None and name != "journal":
        raise InvalidRequest(f"only the journal design can be told how to linger, not {name}")
    options: dict[str, float] = {} if gossip else {"gossip": False}
    if linger_s is not None:
        options["linger_s"] = linger_s

    def create(network: Network, rng: random.Random) -> Design:
        design: Design = import_module(MODULES[name]).create(network, rng, **options)
        return design

    return create
