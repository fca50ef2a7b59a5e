"""One suite for each port, which every implementation passes unchanged; needs no test framework.

Each check has a name and runs by itself, on a store that is fresh, so that a test framework can
show it as a case of its own: `await order_store_checks()[name](make, seed)`. `make(count)` is an
async context manager that yields so many clients of one new, empty store: separate ones, as on
separate nodes. The same seed gives the same calls. A contract that is broken raises
`ContractError`, which quotes the sentence of `tidings.ports`.

Examples say what single calls do. Races record what concurrent clients were answered, over links
that delay and lose, and demand that the calls are linearizable.
"""

from tidings.testing.contract.blob import blob_store_checks, check_blob_store
from tidings.testing.contract.check import Check, ContractError, Make
from tidings.testing.contract.order import check_order_store, order_store_checks
from tidings.testing.contract.peers import PeersNode, check_peers, peers_checks

__all__ = [
    "Check",
    "ContractError",
    "Make",
    "PeersNode",
    "blob_store_checks",
    "check_blob_store",
    "check_order_store",
    "check_peers",
    "order_store_checks",
    "peers_checks",
]
