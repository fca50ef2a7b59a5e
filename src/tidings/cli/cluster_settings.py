"""Settings of `tidings serve` for a broker that shares its stores with others."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidings.cli.settings import Integer, Setting, address_of, is_told, origin, settings_of
from tidings.errors import InvalidRequest

if TYPE_CHECKING:
    from tidings.kafka.cluster.place import ClusterPlace

SECRET_VARIABLE = "TIDINGS_CLUSTER_SECRET"  # noqa: S105 -- its name
"""Not a setting: what an option says, everybody can see who may list processes."""

POSTGRES = ("postgres://", "postgresql://")

CLUSTER_SETTINGS = [
    Setting(
        ["--order"],
        metavar="URL",
        default=None,
        help="Be one of several brokers, whose order store this is: etcd://HOST:PORT,HOST:PORT … "
        "or postgres://HOST/DATABASE.",
    ),
    Setting(
        ["--blobs"],
        metavar="URL",
        default=None,
        help="The blob store that belongs to --order: s3://BUCKET/PATH, gs://…, az://… or "
        "postgres://HOST/DATABASE.",
    ),
    Setting(
        ["--store"],
        metavar="URL",
        default=None,
        help="Both in one: postgres://HOST/DATABASE.",
    ),
    Setting(
        ["--rack"],
        default=None,
        help="Where this broker of a cluster stands, as clients are told.",
    ),
    Setting(
        ["--gossip-port"],
        type=Integer(0, 2**16 - 1),
        default=0,
        help="The port where other brokers of a cluster connect; 0 takes one that is free.",
    ),
    Setting(
        ["--gossip-advertise"],
        metavar="HOST:PORT",
        default=None,
        callback=address_of,
        help="Where other brokers of a cluster are told to connect; without it, --gossip-port on "
        "the host that clients are told.",
    ),
    Setting(
        ["--cluster-secret-file"],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
        help="The file with the secret by which brokers of a cluster know each other; it can also "
        f"be in {SECRET_VARIABLE}. Without either, one is kept in the order store.",
    ),
]

_PLACES = ("order", "blobs", "store")


def cluster_place(context: click.Context, values: dict[str, object]) -> "ClusterPlace | None":
    """Return the cluster that the broker is to be of; None: it is to serve alone.

    Raises:
        UsageError: Two settings do not fit, or a URL can be none of a store.
    """
    if not any(values[key] for key in _PLACES):
        _refuse_others(context)
        return None
    for other in ("data", "memory"):
        if is_told(context, other) and values[other]:
            told = next(key for key in _PLACES if values[key])
            raise _contradiction(context, told, other)
    # Only now: who serves alone need not wait for it.
    from tidings.kafka.cluster.place import ClusterPlace  # noqa: PLC0415
    from tidings.kafka.cluster.storage import check_urls  # noqa: PLC0415

    order, blobs = _urls(context, values)
    try:
        check_urls(order, blobs)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    return ClusterPlace(
        order=order,
        blobs=blobs,
        node_id=_given(context, values, "node_id"),
        rack=values["rack"],  # type: ignore[arg-type] # click has made them what they are
        gossip_port=values["gossip_port"],  # type: ignore[arg-type]
        gossip_advertised=values["gossip_advertise"],  # type: ignore[arg-type]
        secret=_secret(values),
    )


def _refuse_others(context: click.Context) -> None:
    for setting in CLUSTER_SETTINGS:
        if is_told(context, setting.key) and context.params[setting.key] is not None:
            raise click.UsageError(
                f"{_called(context, setting.key)} means something only for one of several brokers."
                " Say where their stores are as well, with --order and --blobs or with --store."
            )


def _urls(context: click.Context, values: dict[str, object]) -> tuple[str, str]:
    order, blobs, store = (values[key] for key in _PLACES)
    if store:
        for other in ("order", "blobs"):
            if values[other]:
                raise _contradiction(context, "store", other)
        if not str(store).startswith(POSTGRES):
            raise click.UsageError(
                f"{_called(context, 'store')} is for PostgreSQL, which can be both stores. For "
                "others say --order and --blobs."
            )
        return str(store), str(store)
    if not order:
        raise click.UsageError(
            f"{_called(context, 'blobs')} says where the bytes are. Say with --order where their"
            " order is, etcd://HOST:PORT for example."
        )
    if not blobs:
        raise click.UsageError(
            f"{_called(context, 'order')} says where the order is. Say with --blobs where the bytes"
            " are, s3://BUCKET/PATH for example."
        )
    return str(order), str(blobs)


def _given(context: click.Context, values: dict[str, object], key: str) -> int | None:
    value = values[key]
    assert isinstance(value, int), "click has made it one"
    return value if is_told(context, key) else None


def _secret(values: dict[str, object]) -> bytes | None:
    """Return the secret that was told; never to be shown."""
    file = values["cluster_secret_file"]
    if isinstance(file, Path):
        try:
            secret = file.read_bytes().strip()
        except OSError as error:
            raise click.UsageError(f"{file} cannot be read: {error.strerror}.") from error
    else:
        secret = os.environ.get(SECRET_VARIABLE, "").strip().encode()
        if not secret:
            return None
    # Only now: who serves alone need not wait for it.
    from tidings.peers import SECRET_BYTES_MIN  # noqa: PLC0415

    if len(secret) < SECRET_BYTES_MIN:
        raise click.UsageError(
            f"The cluster secret has {len(secret)} bytes; take {SECRET_BYTES_MIN} or more, made by"
            " chance: openssl rand -hex 32."
        )
    return secret


def _contradiction(context: click.Context, one: str, other: str) -> click.UsageError:
    return click.UsageError(
        f"{_called(context, one)} and {_called(context, other)} contradict each other. "
        "Leave one of them out."
    )


def _called(context: click.Context, key: str) -> str:
    by_key = {setting.key: setting for setting in settings_of(context.command)}
    return origin(context, by_key[key])
