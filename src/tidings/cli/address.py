"""Where something is, as people write it."""

from typing import NamedTuple


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, port_min: int = 1) -> "Address | None":
        """Return what HOST:PORT says, or [HOST]:PORT of version 6; None if it is neither."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not port_min <= int(port) < 2**16:
            return None
        return cls(host.removeprefix("[").removesuffix("]"), int(port))
