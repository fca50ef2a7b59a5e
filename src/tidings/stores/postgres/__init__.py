"""Order and blobs in one PostgreSQL database: see `tidings.stores.postgres.order`.

Needs asyncpg: `pip install tidings[postgres]`.
"""

from tidings.stores.postgres.blobs import PostgresBlobStore
from tidings.stores.postgres.opening import PostgresStores, open_postgres
from tidings.stores.postgres.order import PostgresOrderStore

__all__ = ["PostgresBlobStore", "PostgresOrderStore", "PostgresStores", "open_postgres"]
