"""`tidings serve` with other settings of the engine and its stores than users can give it.

    python benchmarks/cluster/tuned.py linger_s=0.002 inline_bytes_max=4096 serve …

Only for stores that nobody else uses: brokers of one cluster must agree on none of these, but what
is measured with them says nothing if they differ.
"""

import sys
from dataclasses import replace

from tidings.cli import main
from tidings.kafka.cluster import storage
from tidings.stores.etcd.order import EtcdOrderStore
from tidings.stores.postgres.order import PostgresOrderStore

INLINE = "inline_bytes_max"
"""What is the stores', not the engine's."""


def tune(words: list[str]) -> None:
    """Change the defaults as words such as `linger_s=0.002` say."""
    told = dict(word.split("=") for word in words)
    if inline_bytes_max := told.pop(INLINE, None):
        for store in (EtcdOrderStore, PostgresOrderStore):
            setattr(store, INLINE, int(inline_bytes_max))
    former = storage.ENGINE
    changed = {key: type(getattr(former, key))(value) for key, value in told.items()}
    vars(storage)["ENGINE"] = replace(former, **changed)


if __name__ == "__main__":
    first = sys.argv.index("serve")
    tune(sys.argv[1:first])
    del sys.argv[1:first]
    main(prog_name="tidings")
