"""The order store in one SQLite file: see `tidings.stores.sqlite.store`."""

from tidings.stores.sqlite.store import SqliteOrderStore

__all__ = ["SqliteOrderStore"]
