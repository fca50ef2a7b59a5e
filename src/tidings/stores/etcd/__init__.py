"""The order store in etcd: see `tidings.stores.etcd.order`.

Needs grpcio: `pip install tidings[etcd]`.
"""

from tidings.stores.etcd.address import EtcdAddress
from tidings.stores.etcd.order import EtcdOrderStore, open_etcd

__all__ = ["EtcdAddress", "EtcdOrderStore", "open_etcd"]
