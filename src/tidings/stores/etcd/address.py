"""Where a cluster is, and how to be let in.

    etcd://[user:password@]host:port[,host:port …][/prefix]
    etcds://…[?ca=FILE][&cert=FILE&key=FILE]

`etcds` speaks TLS: `ca` is who signed the members' certificates, `cert` and `key` are what this
client shows. All keys begin with the prefix; without one, with `tidings`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tidings.errors import InvalidRequest

SCHEMES = ("etcd", "etcds")
PORT = 2379
PREFIX = "tidings"
FILES = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """A URL, taken apart."""

    members: tuple[str, ...]
    """HOST:PORT of each."""
    prefix: str = PREFIX
    user: str = ""
    password: str = field(default="", repr=False)
    is_encrypted: bool = False
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "EtcdAddress":
        """Take a URL apart, and read the files that it names.

        Raises:
            InvalidRequest: It is none, or a file cannot be read; the text says what to change.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise InvalidRequest(f"{url!r} does not begin with etcd:// or etcds://")
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        options = parse_qs(parts.query, keep_blank_values=True)
        is_encrypted = parts.scheme == "etcds"
        for name in options:
            if name not in FILES or not is_encrypted:
                raise InvalidRequest(f"{name}= means nothing here; etcds:// takes {FILES}")
        files = {name: _read(values[-1]) for name, values in options.items()}
        if ("cert" in files) != ("key" in files):
            raise InvalidRequest("cert= and key= are needed both, or neither")
        return cls(
            members=tuple(_member(host) for host in hosts.split(",")),
            prefix=unquote(parts.path).strip("/") or PREFIX,
            user=unquote(user),
            password=unquote(password),
            is_encrypted=is_encrypted,
            **files,
        )


def _member(host: str) -> str:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, str(PORT)
    if not name or not port.isdigit():
        raise InvalidRequest(f"{host!r} is no HOST:PORT of a member of etcd")
    return f"{name}:{port}"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
