"""Where a cluster is, and what one of its brokers is told of that."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlace:
    """What a broker is told that shares its stores with others."""

    order: str = field(repr=False)
    """The URL of the order store."""
    blobs: str = field(repr=False)
    """The URL of the blob store; may be the same."""
    node_id: int | None = None
    """None: one is chosen that no other broker has."""
    rack: str | None = None
    gossip_port: int = 0
    """Where other brokers connect, on the host that is listened on; 0: any that is free."""
    gossip_advertised: tuple[str, int] | None = None
    """Where other brokers are told to connect; None: the advertised host, and the port above."""
    secret: bytes | None = field(default=None, repr=False)
    """By which brokers know each other; None: the one in the order store."""

    def __str__(self) -> str:
        """Name the stores; without passwords."""
        if self.order == self.blobs:
            return without_credentials(self.order)
        return f"{without_credentials(self.order)} and {without_credentials(self.blobs)}"


def without_credentials(url: str) -> str:
    """Return a URL without who is let in, and without options, which may say that as well."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
