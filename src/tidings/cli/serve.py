"""The broker."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import click
import msgspec

from tidings.cli.cluster_settings import cluster_place
from tidings.cli.listeners import UNNAMED, Addresses, named_listeners
from tidings.cli.logs import logs, say_line
from tidings.cli.serve_settings import FIELDS, SERVE_SETTINGS
from tidings.cli.settings import PREFIX, config_option, origin, settings_of
from tidings.errors import Corrupt, InvalidRequest, TidingsError
from tidings.kafka import serve as broker
from tidings.kafka.known_brokers import Address, Listener
from tidings.kafka.listening import Listening
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
    main, *named = ready.listening
    fields: dict[str, Json] = {
        "version": ready.version,
        "address": _text(main.address),
        "advertised": _text(main.told),
        "listeners": [
            {"name": each.told.name, "address": _text(each.address), "advertised": _text(each.told)}
            for each in named
        ],
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
    told = "".join(f"{_listener(each)}; " for each in ready.listening)
    return f"Tidings {ready.version} listens on {told}everything is in {place}"


def _listener(listening: Listening) -> str:
    name, where, told = listening.told.name, _text(listening.address), _text(listening.told)
    text = f"as {name} on {where}" if name else where
    return (
        text
        if told == where
        else f"{text}; clients {'there ' if name else ''}are told to connect to {told}"
    )


def _text(address: Address | Listener) -> str:
    return f"{address.host}:{address.port}"


def _url(address: Address) -> str:
    return f"http://{_text(address)}"


def broker_settings(values: dict[str, object]) -> BrokerSettings:
    """Return what the broker is told, from the values of all settings by their names.

    Raises:
        UsageError: Two values do not fit.
    """
    told = {field: values[key] for key, field in FIELDS.items()}
    advertised = cast("Addresses", values["advertise"])
    if UNNAMED in advertised:
        told["advertised_host"], told["advertised_port"] = advertised[UNNAMED]
    listening = cast("Addresses", values["listen"])
    settings = replace(
        msgspec.convert(told, BrokerSettings), listeners=named_listeners(listening, advertised)
    )
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
