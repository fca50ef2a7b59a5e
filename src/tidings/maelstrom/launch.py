"""Starts a node of one design on stdin and stdout: what Maelstrom's `--bin` is given."""

import asyncio
import logging
import random
import sys
from collections.abc import Callable

from tidings.maelstrom.designs import load
from tidings.maelstrom.node import Node
from tidings.maelstrom.stdio import serve


def run(design: str, *, gossip: bool = True, linger_s: float | None = None) -> None:
    """Serve with the design of that name until stdin ends or a signal comes, then return.

    `gossip` and `linger_s` are for `load`.

    Raises:
        InvalidRequest: There is no such design, or it does not know these options.
        SystemExit: The design's background work failed; status 1, the reason on stderr.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    make_design = load(design, gossip=gossip, linger_s=linger_s)

    def make_node(write_line: Callable[[bytes], None]) -> Node:
        return Node(make_design, random.Random(), write_line)

    try:
        asyncio.run(serve(make_node))
    except Exception:
        logging.getLogger(__name__).exception("the node's background work failed; it ends")
        sys.exit(1)


def journal() -> None:
    """Run the `journal` design, the default."""
    run("journal")


def naive() -> None:
    """Run the `naive` design."""
    run("naive")


def offset_list() -> None:
    """Run the `offset-list` design."""
    run("offset-list")


def local_index() -> None:
    """Run the `local-index` design."""
    run("local-index")


def gossip() -> None:
    """Run the `gossip` design."""
    run("gossip")
