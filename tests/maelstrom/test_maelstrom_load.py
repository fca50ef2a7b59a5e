"""Designs by name, and the options that only one of them knows."""

from typing import Any

import pytest

from tidings.errors import InvalidRequest
from tidings.maelstrom.designs import MODULES, load


def test_load_of_an_unknown_design_lists_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"choose one of .*journal"):
        load("raft")


@pytest.mark.parametrize("name", [name for name in MODULES if name != "journal"])
@pytest.mark.parametrize("option", [{"gossip": False}, {"linger_s": 0.1}], ids=str)
def test_load_refuses_an_option_that_the_design_does_not_know(
    name: str, option: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match="only the journal design"):
        load(name, **option)
