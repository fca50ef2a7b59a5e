"""The way over TCP against the shipped contract suite, on real sockets."""

import pytest
from tcp_nodes import run_real, tcp_networks

from tidings.testing.contract import peers_checks

CHECKS = peers_checks(is_lossless=True)


@pytest.mark.parametrize("name", CHECKS)
def test_tcp_peers_keep_the_contract(name: str) -> None:
    run_real(CHECKS[name](tcp_networks, 0))
