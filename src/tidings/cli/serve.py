"""The broker."""

import sys
from pathlib import Path

import click

from tidings.errors import InvalidRequest, TidingsError

# kio imports hypothesis where that is installed, which takes longer than all else here.
sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type] # as import documents it

from tidings.kafka import serve as broker  # noqa: E402 -- only after that
from tidings.kafka.settings import BrokerSettings  # noqa: E402 -- only after that


def _address(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    del context, parameter
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) < 2**16:
        raise click.BadParameter(f"{text!r} is no address. Say HOST:PORT, as in log.example:9092.")
    return host, int(port)


_DEFAULT = BrokerSettings()


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default="tidings-data",
    show_default=True,
    help="The folder that keeps everything; made if it is not there.",
)
@click.option("--memory", is_flag=True, help="Keep everything in memory, and lose it at the end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 2**16 - 1),
    default=9092,
    show_default=True,
    help="0 takes one that is free.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 2**16 - 1),
    help="Serve /metrics for Prometheus, /healthz and /readyz there; without it, nowhere.",
)
@click.option(
    "--advertise",
    metavar="HOST:PORT",
    callback=_address,
    help="Where clients are told to connect; without it, where they did.",
)
@click.option(
    "--auto-create/--no-auto-create",
    default=True,
    show_default=True,
    help="Whether a topic comes into being when a client asks for it.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    help="Of a topic that is created without saying how many.",
)
@click.option(
    "--retention-ms",
    type=click.IntRange(min=-1),
    default=_DEFAULT.retention_ms,
    show_default="a week",
    help="How long records are kept, by their timestamps, where their topic does not say; "
    "-1 for ever.",
)
@click.option(
    "--retention-bytes",
    type=click.IntRange(min=-1),
    default=_DEFAULT.retention_bytes,
    show_default="all",
    help="How much of a partition is kept where its topic does not say; -1 for all.",
)
def serve(
    *,
    data: Path,
    memory: bool,
    host: str,
    port: int,
    metrics_port: int | None,
    advertise: tuple[str, int] | None,
    auto_create: bool,
    partitions: int,
    retention_ms: int,
    retention_bytes: int,
) -> None:
    """Be a broker that speaks Kafka's protocol, until SIGTERM or Ctrl-C."""
    settings = BrokerSettings(
        host=host,
        port=port,
        metrics_port=metrics_port,
        advertised_host=advertise and advertise[0],
        advertised_port=advertise and advertise[1],
        auto_create_topics=auto_create,
        num_partitions=partitions,
        retention_ms=retention_ms,
        retention_bytes=retention_bytes,
    )
    try:
        broker.run(settings, None if memory else data, say=click.echo)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    except TidingsError as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        known, unknown = group.split(TidingsError)
        if known is None or unknown is not None:
            raise
        raise click.ClickException(f"The broker had to stop: {known.exceptions}") from group
