"""The blob store in a folder of files: see `tidings.stores.files.store`."""

from tidings.stores.files.store import FileBlobStore

__all__ = ["FileBlobStore"]
