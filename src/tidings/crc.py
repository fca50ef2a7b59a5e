"""CRC-32C, computed in C, without what its package imports besides.

The package `crc32c` looks up its own version and has a command line. What it imports for these is a
tenth of all instructions until a broker answers; the function itself lies in a module of its own.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

Checksum = Callable[[bytes | memoryview], int]
"""Returns the CRC-32C of some bytes."""


def _load() -> Checksum:
    package = PathFinder.find_spec("crc32c")
    assert package is not None, "crc32c is installed with this package"
    native = PathFinder.find_spec("_crc32c", package.submodule_search_locations)
    if native is None or native.loader is None:
        # Another version of the package, which keeps it elsewhere.
        found: Checksum = import_module("crc32c").crc32c
        return found
    module = module_from_spec(native)
    native.loader.exec_module(module)
    function: Checksum = module.crc32c
    return function


crc32c = _load()
