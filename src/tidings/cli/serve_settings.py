"""Every setting of `tidings serve`. docs/settings.md is written from it."""

from pathlib import Path

import click

from tidings.cli.cluster_settings import CLUSTER_SETTINGS
from tidings.cli.listeners import (
    ADVERTISE_METAVAR,
    LISTEN_METAVAR,
    advertised_of,
    listeners_of,
)
from tidings.cli.logs import FORMATS, LEVELS
from tidings.cli.settings import Integer, Seconds, Setting
from tidings.kafka.settings import BrokerSettings

_PORT = Integer(0, 2**16 - 1)
_COUNT = Integer(1, 2**31 - 1)
_BYTES = Integer(1024, 2**31 - 1)
_LIMIT = Integer(min=-1)

_DEFAULTS = BrokerSettings()


def _told(
    field: str,
    kind: "click.ParamType[object]",
    meaning: str,
    *,
    option: str = "",
    default: str = "",
) -> tuple[str, Setting]:
    """Return a field of `BrokerSettings` with its setting; `default` is how that is called."""
    setting = Setting(
        [option or "--" + field.replace("_", "-")],
        type=kind,
        default=getattr(_DEFAULTS, field),
        show_default=default or True,
        help=meaning,
    )
    return field, setting


_TOLD = [
    _told("host", click.STRING, "The address to listen on."),
    _told(
        "port",
        _PORT,
        "The port to listen on; 0 takes one that is free, and the first line says which.",
    ),
    _told(
        "metrics_port",
        _PORT,
        "Serve /metrics for Prometheus, /healthz and /readyz there; 0 takes one that is free; "
        "without it, nowhere.",
    ),
    _told(
        "auto_create_topics",
        click.BOOL,
        "Whether a topic comes into being when a client asks for it.",
        option="--auto-create/--no-auto-create",
    ),
    _told(
        "num_partitions",
        Integer(1, 10_000),
        "Of a topic that is created without saying how many.",
        option="--partitions",
    ),
    _told(
        "retention_ms",
        _LIMIT,
        "How long records are kept, by their timestamps, where their topic does not say; "
        "-1 for ever.",
        default="a week",
    ),
    _told(
        "retention_bytes",
        _LIMIT,
        "How much of a partition is kept where its topic does not say; -1 for all.",
        default="all",
    ),
    _told(
        "retention_check_interval_ms", _COUNT, "Between two looks at what is too old or too much."
    ),
    _told(
        "offsets_retention_minutes",
        _COUNT,
        "How long committed offsets are kept of a group that has no members.",
        default="a week",
    ),
    _told(
        "shutdown_patience_s",
        Seconds(0),
        "Seconds that requests at work may take to be answered after SIGTERM or Ctrl-C; then "
        "their connections are cut.",
        option="--shutdown-timeout",
    ),
    _told("connections_max", _COUNT, "Connections at a time; more are closed at once."),
    _told(
        "idle_patience_s",
        Seconds(1),
        "Seconds after which a connection with nothing to do is closed.",
        option="--idle-timeout",
    ),
    _told(
        "stall_patience_s",
        Seconds(1),
        "Seconds that a client may take to read what it is sent, or to send the rest of a "
        "request, and more for its bytes.",
        option="--stall-timeout",
    ),
    _told(
        "stall_bytes_per_s", _COUNT, "For every so many bytes, a stalled client gets a second more."
    ),
    _told(
        "memory_bytes_max",
        Integer(min=1024 * 1024),
        "Requests received and answers not sent, of all connections together.",
    ),
    _told(
        "cache_bytes_max",
        Integer(min=1024 * 1024),
        "What was stored of late, or read, and is kept in memory to be read again.",
    ),
    _told("request_bytes_max", _BYTES, "The largest Produce request."),
    _told("other_request_bytes_max", _BYTES, "The largest request of any other kind."),
    _told(
        "pipelined_requests_max",
        _COUNT,
        "Requests of one connection that wait, or are at work, before it is not read.",
    ),
    _told("pipelined_bytes_max", _BYTES, "The same in bytes; one request more may go over it."),
    _told(
        "group_initial_rebalance_delay_ms",
        Integer(0, 2**31 - 1),
        "How long the first generation of a group waits for more members to come.",
    ),
    _told(
        "group_session_timeout_min_ms",
        _COUNT,
        "The shortest silence that a member of a group may ask for.",
    ),
    _told(
        "group_session_timeout_max_ms",
        _COUNT,
        "The longest silence that a member of a group may ask for.",
    ),
    _told("group_size_max", _COUNT, "Members of a group."),
    _told(
        "node_id",
        Integer(0, 2**31 - 1),
        "The broker's number, as clients see it. In a cluster, without it, one that is free.",
    ),
]

FIELDS = {setting.key: field for field, setting in _TOLD}
"""The field of `BrokerSettings` that a setting gives, by the setting's name."""

SERVE_SETTINGS = [
    Setting(
        ["--data"],
        type=click.Path(file_okay=False, path_type=Path),
        default="tidings-data",
        help="The folder that keeps everything; made if it is not there.",
    ),
    Setting(
        ["--memory/--no-memory"],
        default=False,
        help="Keep everything in memory, and lose it at the end.",
    ),
    Setting(
        ["--listen"],
        metavar=LISTEN_METAVAR,
        default=None,
        callback=listeners_of,
        help="Where to listen besides --host and --port, for clients that reach this broker "
        "another way: NAME=HOST:PORT, several with commas. A client is told the addresses of all "
        "brokers that belong to the name on which it asks.",
    ),
    Setting(
        ["--advertise"],
        metavar=ADVERTISE_METAVAR,
        default=None,
        callback=advertised_of,
        help="Where clients are told to connect: HOST:PORT for --port, NAME=HOST:PORT for a "
        "listener of --listen, several with commas; without it, the address that they reached.",
    ),
    *(setting for _, setting in _TOLD),
    *CLUSTER_SETTINGS,
    Setting(
        ["--log-format"],
        type=click.Choice(tuple(FORMATS)),
        default="text",
        help="What the logs on stderr look like, and the line on stdout that says where the "
        "broker listens.",
    ),
    Setting(
        ["--log-level"],
        type=click.Choice(LEVELS),
        default="info",
        help="The least important events that are logged.",
    ),
]
