"""The way between nodes over TCP: `Peers`, authenticated with a secret that all nodes know.

Messages are not encrypted: put nodes where nobody listens. Start with `tcp.py`.
"""

from tidings.peers.settings import SECRET_BYTES_MIN, PeerAddress, PeerSettings
from tidings.peers.tcp import TcpPeers

__all__ = ["SECRET_BYTES_MIN", "PeerAddress", "PeerSettings", "TcpPeers"]
