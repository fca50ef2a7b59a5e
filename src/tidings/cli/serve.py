"""The broker."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from tidings.cli.cluster_settings import cluster_place
from tidings.cli.logs import logs, say_line
from tidings.cli.serve_settings import FIELDS, SERVE_SETTINGS
from tidings.cli.settings import PREFIX, config_option, origin, settings_of
from tidings.errors import Corrupt, InvalidRequest, TidingsError
from tidings.kafka import serve as broker
from tidings.kafka.known_brokers import Address
from tidings.kafka.settings import BrokerSettings
from tidings.types import Json

_CONTEXT = {"auto_envvar_prefix": PREFIX, "show_default": True}


@click.command(context_settings=_CONTEXT)
@click.pass_context
def serve(context: click.Context, /, *, config: Path | None, **values: object) -> None:
    """Be a broker that speaks Kafka's protocol, until SIGTERM or Ctrl-C.

    Each setting can be an option, a variable of the environment that is named like the option
    (TIDINGS_SERVE_PORT=9093), or a line of a TOML file (port = 9093). The first of these counts.
    """
    del config
    place = cluster_place(context, values) or _data(context, values)
    settings = broker_settings(values)
    form = str(values["log_format"])
    try:
        with logs(form, str(values["log_level"])):
            broker.run(settings, place, say_ready=_SAY_READY[form])
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    except TidingsError as error:
        raise click.ClickException(str(error)) from error
    except BaseExceptionGroup as group:
        known, unknown = group.split(TidingsError)
        if known is None or unknown is not None:
            raise
        raise click.ClickException(f"The broker had to stop: {_reasons(known, place)}") from group


def _reasons(group: BaseExceptionGroup[TidingsError], place: object) -> str:
    """Say why the broker stopped, and what helps to know more."""
    reasons = list(_leaves(group))
    text = "; ".join(dict.fromkeys(str(each) for each in reasons))
    if not isinstance(place, Path) or not any(isinstance(each, Corrupt) for each in reasons):
        return text
    return f"{text}. `tidings verify {place}` tells what is damaged, and which records that costs."


def _leaves(
    error: TidingsError | BaseExceptionGroup[TidingsError],
) -> Iterator[TidingsError]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


serve.params[:] = [config_option(), *SERVE_SETTINGS]


def _say_ready_in_text(ready: broker.Ready) -> None:
    click.echo(_welcome(ready))
    if ready.metrics is not None:
        click.echo(f"Metrics are at {_url(ready.metrics)}/metrics")


def _say_ready_in_json(ready: broker.Ready) -> None:
    fields: dict[str, Json] = {
        "version": ready.version,
        "address": _text(ready.address),
        "advertised": _text(ready.advertised),
        "metrics": None if ready.metrics is None else f"{_url(ready.metrics)}/metrics",
        "data": None,
        "stores": None,
    }
    match ready.place:
        case Path():
            fields["data"] = str(ready.place.absolute())
        case None:
            pass
        case stores:
            fields["stores"] = str(stores)
    say_line(_welcome(ready), fields)


_SAY_READY = {"text": _say_ready_in_text, "json": _say_ready_in_json}


def _welcome(ready: broker.Ready) -> str:
    match ready.place:
        case None:
            place = "memory, which ends with this process"
        case Path():
            place = str(ready.place.absolute())
        case stores:
            place = str(stores)
    told = ""
    if ready.advertised != ready.address:
        told = f"clients are told to connect to {_text(ready.advertised)}; "
    where = _text(ready.address)
    return f"Tidings {ready.version} listens on {where}; {told}everything is in {place}"


def _text(address: Address) -> str:
    return f"{address.host}:{address.port}"


def _url(address: Address) -> str:
    return f"http://{_text(address)}"


def broker_settings(values: dict[str, object]) -> BrokerSettings:
    """Return what the broker is told, from the values of all settings by their names.

    Raises:
        UsageError: Two values do not fit.
    """
    told = {field: values[key] for key, field in FIELDS.items()}
    if isinstance(advertised := values["advertise"], tuple):
        told["advertised_host"], told["advertised_port"] = advertised
    settings = msgspec.convert(told, BrokerSettings)
    if settings.group_session_timeout_min_ms > settings.group_session_timeout_max_ms:
        raise click.UsageError(
            "group_session_timeout_min_ms is above group_session_timeout_max_ms, so that no "
            "member could ask for any time. Change one of them."
        )
    return settings


def _data(context: click.Context, values: dict[str, object]) -> Path | None:
    """Return the folder; None for memory."""
    data = values["data"]
    assert isinstance(data, Path)
    if not values["memory"]:
        return data
    by_key = {setting.key: setting for setting in settings_of(context.command)}
    if context.get_parameter_source("data") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError(
            f"{origin(context, by_key['memory'])} and {origin(context, by_key['data'])} contradict "
            "each other. Leave one of them out, or say --no-memory."
        )
    return None
