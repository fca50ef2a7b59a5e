"""Every bound and choice of the broker."""

from dataclasses import dataclass

from tidings.kafka.known_brokers import Address, Listener


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """An address to listen on, and what clients are told that ask there."""

    name: str
    """By which listeners of several brokers belong together; empty: the one that needs no name."""
    host: str
    port: int
    advertised_host: str | None = None
    advertised_port: int | None = None
    """None: what is listened on, or what the client reached."""

    def reached_at(self, address: Address) -> Listener:
        """Return what this is to a client that reached it there."""
        host, port = self.advertised_host or address.host, self.advertised_port or address.port
        return Listener(host, port, self.name)


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What a broker is told at its start; docs/settings.md has their options."""

    node_id: int = 1
    """The broker's number, as clients see it."""

    host: str = "127.0.0.1"
    """The address to listen on."""

    port: int = 9092
    """The port to listen on; 0 takes any that is free."""

    advertised_host: str | None = None
    """The address that clients are told to connect to; None: the one that is listened on."""

    advertised_port: int | None = None
    """The port that clients are told to connect to; None: the one that is listened on."""

    listeners: tuple[ListenerSettings, ...] = ()
    """Where else to listen; each has a name."""

    metrics_port: int | None = None
    """The port for `/metrics`, `/healthz` and `/readyz`; 0 takes any that is free, None: none."""

    auto_create_topics: bool = True
    """Whether a topic comes into being when a client asks for its metadata."""

    num_partitions: int = 1
    """The partitions of a topic that is created without saying how many."""

    retention_ms: int = 7 * 24 * 60 * 60 * 1000
    """How long records are kept where their topic does not say; -1 for ever."""

    retention_bytes: int = -1
    """How many bytes of a partition are kept where its topic does not say; -1 for all."""

    retention_check_interval_ms: int = 5 * 60 * 1000
    """Between two looks at what is too old or too much."""

    request_bytes_max: int = 100 * 1024 * 1024
    """The largest Produce request."""

    other_request_bytes_max: int = 4 * 1024 * 1024
    """The largest request of any other kind."""

    pipelined_requests_max: int = 16
    """Requests of one connection that wait, or are at work, before the connection is not read."""

    pipelined_bytes_max: int = 16 * 1024 * 1024
    """The same in bytes; one request more may go over it."""

    memory_bytes_max: int = 256 * 1024 * 1024
    """Requests received and answers not sent, of all connections together."""

    cache_bytes_max: int = 144 * 1024 * 1024
    """Stored bytes that are kept to be read again: entries, blobs, and a ninth index pages."""

    idle_patience_s: float = 600.0
    """A connection with nothing to do for so long is closed."""

    stall_patience_s: float = 30.0
    """How long a client may take to read what it is sent, or to send the rest of a request, …"""

    stall_bytes_per_s: int = 50_000
    """… and more for every so many bytes of it."""

    connections_max: int = 20_000
    """Connections at a time; more are closed at once."""

    shutdown_patience_s: float = 0.7
    """How long requests in flight may take to be answered after the broker was told to stop."""

    group_initial_rebalance_delay_ms: int = 0
    """How long the first generation of a group waits for more members to come."""

    group_session_timeout_min_ms: int = 6_000
    """The shortest silence that a member of a group may ask for."""

    group_session_timeout_max_ms: int = 1_800_000
    """The longest silence that a member of a group may ask for."""

    group_size_max: int = 1_000
    """Members of a group."""

    offsets_retention_minutes: int = 7 * 24 * 60
    """How long committed offsets are kept of a group that has no members."""

    @property
    def every_listener(self) -> tuple[ListenerSettings, ...]:
        """All listeners; the first is the one without a name."""
        told = (self.host, self.port, self.advertised_host, self.advertised_port)
        return ListenerSettings("", *told), *self.listeners
