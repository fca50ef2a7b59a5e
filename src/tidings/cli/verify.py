"""The check of a data folder."""

import sys
from pathlib import Path

import click

from tidings.verify.command import run


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(folder: Path) -> None:
    """Tell what is damaged in the data FOLDER of a broker that does not run.

    Exits with 0 when all is sound, 1 when something is damaged, 2 when nobody could look.
    """
    sys.exit(run(folder, say=click.echo))
