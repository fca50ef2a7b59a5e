"""docs/settings.md, written from the settings of `tidings serve`: `make docs`."""

import sys

from tidings.cli.serve_settings import SERVE_SETTINGS
from tidings.cli.settings import PREFIX, Setting

_BEFORE = f"""\
# Settings of the broker

This page is written by `make docs` from `src/tidings/cli/serve_settings.py`.

Each setting can be given in three ways. The first of these counts:

1. an option of `tidings serve`;
2. a variable of the environment; an empty one is none;
3. a line of a TOML file, which `--config FILE` or `{PREFIX}_CONFIG` names.

```sh
tidings serve --port 19092
TIDINGS_SERVE_PORT=19092 tidings serve
tidings serve --config tidings.toml
```

```toml
port = 19092
metrics_port = 9464
data = "/var/lib/tidings"
auto_create = false
shutdown_timeout = 10
```

A name that is no setting, in the file or after `{PREFIX}_`, is an error, and so is a value that
does not fit; the error says where it stands. A path is relative to where the broker was started.
A name ends with its unit; a timeout is in seconds.

| option | variable | in the file | default | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return _BEFORE + "".join(_row(setting) for setting in SERVE_SETTINGS)


def _row(setting: Setting) -> str:
    names = ", ".join(f"`{name}`" for name in [*setting.opts, *setting.secondary_opts])
    cells = [names, f"`{setting.variable}`", f"`{setting.key}`", _default(setting), setting.help]
    return f"| {' | '.join(str(cell) for cell in cells)} |\n"


def _default(setting: Setting) -> str:
    value = setting.default
    if value is None:
        return "none"
    text = f"`{str(value).lower() if isinstance(value, bool) else value}`"
    return f"{text}, {setting.show_default}" if isinstance(setting.show_default, str) else text


if __name__ == "__main__":
    sys.stdout.write(page())
