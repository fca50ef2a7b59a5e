"""Where a setting comes from: its option, the environment, a TOML file, or its default.

Click looks them up in that order. Here is what it lacks: errors that name the place of a bad value,
names that are no settings, and values of the wrong kind in the file.
"""

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from tidings.cli.address import Address

PREFIX = "TIDINGS_SERVE"
"""Variables begin with it. (With TIDINGS alone, Kubernetes would set TIDINGS_PORT beside every
service of that name.)"""


class Integer(click.IntRange):
    """A whole number; its name is what an error calls it."""

    name = "integer"


class Seconds(click.FloatRange):
    """A time that ends; FloatRange lets NaN and infinity pass."""

    name = "number"

    def __init__(self, least: float) -> None:
        super().__init__(min=least)

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return number


def variable_of(key: str) -> str:
    """Return the name that a setting has in the environment."""
    return f"{PREFIX}_{key.upper()}"


class Setting(click.Option):
    """An option that a variable and a file can give as well."""

    @property
    def key(self) -> str:
        """Its name in a file."""
        assert self.name is not None, "click names every option"
        return self.name

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return variable_of(self.key)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, object], args: list[str]
    ) -> tuple[object, list[str]]:
        """Take the value from where it is, and name that place if the value is bad."""
        try:
            return super().handle_parse_result(ctx, opts, args)
        except click.BadParameter as error:
            error.param_hint = origin(ctx, self)
            raise


def address_of(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Address | None:
    """Return the address that a setting says: a callback of click's."""
    del context, parameter
    if text is None:
        return None
    found = Address.parse(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no address. Say HOST:PORT, as in log.example:9092.")
    return found


def is_told(context: click.Context, key: str) -> bool:
    """Whether a setting comes from somewhere, and is not its default."""
    return context.get_parameter_source(key) is not ParameterSource.DEFAULT


def origin(context: click.Context, setting: Setting) -> str:
    """Say where the value of a setting comes from."""
    match context.get_parameter_source(setting.key):
        case ParameterSource.ENVIRONMENT:
            return f"{setting.variable} in the environment"
        case ParameterSource.DEFAULT_MAP:
            return f"{setting.key} in {context.params['config']}"
        case _:
            return setting.opts[0]


def config_option() -> click.Option:
    """Return `--config`, which is read before the settings are looked up."""
    return click.Option(
        ["--config"],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        callback=_read,
        help="A TOML file with settings, named as in the environment but in small letters and "
        f"without {PREFIX}_. What the environment or an option says counts more.",
    )


def settings_of(command: click.Command) -> list[Setting]:
    """Return the settings of a command."""
    return [option for option in command.params if isinstance(option, Setting)]


def _read(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    del option
    settings = {setting.key: setting for setting in settings_of(context.command)}
    _check_variables(["config", *settings])
    if file is None:
        return None
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise click.BadParameter(f"{file} is no TOML: {error}.") from error
    for key, value in values.items():
        if key not in settings:
            known = {key: key for key in settings}
            raise click.UsageError(_no_setting(f"{key} in {file}", key, known))
        _check_kind(f"{key} in {file}", settings[key], value)
    context.default_map = values
    return file


def _check_variables(keys: list[str]) -> None:
    known = {key.upper(): variable_of(key) for key in keys}
    for variable in sorted(os.environ):
        name = variable.removeprefix(f"{PREFIX}_")
        if name not in (variable, *known):
            raise click.UsageError(_no_setting(f"{variable} in the environment", name, known))


def _no_setting(what: str, name: str, known: Mapping[str, str]) -> str:
    """Say so, and which of the known names is like it; `known` has how to spell each."""
    near = [known[like] for like in difflib.get_close_matches(name.replace("-", "_"), known, n=1)]
    advice = f"Did you mean {near[0]}?" if near else "--help names all settings."
    return f"{what} is no setting. {advice}"


def _check_kind(what: str, setting: Setting, value: object) -> None:
    """Refuse what click would bend until it fits."""
    kinds: dict[type, str]
    match setting.type:
        case click.types.BoolParamType():
            kinds = {bool: "true or false"}
        case click.types.IntParamType():
            kinds = {int: "a whole number"}
        case click.types.FloatParamType():
            kinds = {float: "a number", int: "a number"}
        case _:
            kinds = {str: "a text in quotes"}
    if type(value) not in kinds:
        wanted = next(iter(kinds.values()))
        raise click.UsageError(f"Invalid value for {what}: {value!r} is not {wanted}.")
