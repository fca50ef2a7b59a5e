"""Simulated clusters under faults."""

import sys

import click

from tidings.cli.options import ABOVE_ZERO, POSITIVE
from tidings.maelstrom.designs import MODULES
from tidings.testing import command
from tidings.testing.cluster_plan import CLUSTER
from tidings.testing.runs import ALL_FAULTS, draw_plan


def _spared(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    del context, parameter
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in ALL_FAULTS:
            raise click.BadParameter(
                f"{name!r} is no fault. The faults are {', '.join(ALL_FAULTS)}."
            )
    return names


@click.command()
@click.option(
    "--design",
    type=click.Choice([*MODULES, CLUSTER]),
    default="journal",
    show_default=True,
    help="A design, or brokers of Kafka's protocol on shared stores: cluster.",
)
@click.option("--seed", type=int, help="Replay this one run and show its trace.")
@click.option("--seeds", type=POSITIVE, help="Run so many seeds and show what came of them.")
@click.option("--from", "first", type=int, default=0, show_default=True, help="The first of them.")
@click.option("--jobs", type=POSITIVE, help="Worker processes; without it, one a core.")
@click.option("--shrink", is_flag=True, help="With --seed: look for a smaller run that fails.")
@click.option("--quiet", is_flag=True, help="With --seed: show no trace.")
@click.option("--without", "spared", default="", callback=_spared, help="Faults, with commas.")
@click.option("--node-count", type=POSITIVE, help="With --seed: instead of what the seed draws.")
@click.option("--clients", type=POSITIVE, help="With --seed: instead of what the seed draws.")
@click.option("--time-limit", type=ABOVE_ZERO, help="With --seed: seconds until faults heal.")
def sim(
    *,
    design: str,
    seed: int | None,
    seeds: int | None,
    first: int,
    jobs: int | None,
    shrink: bool,
    quiet: bool,
    spared: tuple[str, ...],
    node_count: int | None,
    clients: int | None,
    time_limit: float | None,
) -> None:
    """Simulate whole clusters under faults, on virtual time; every run follows from its seed.

    Exits with 0 when every run is valid, and 1 when one is not or the batch proves nothing.
    """
    if (seed is None) == (seeds is None):
        raise click.UsageError("Say --seed N to replay one run, or --seeds N to run many.")
    if seed is not None:
        plan = command.change(
            draw_plan(design, seed),
            spared=spared,
            node_count=node_count,
            client_count=clients,
            time_limit_s=time_limit,
        )
        sys.exit(command.replay(plan, shrinks=shrink, traces=not quiet, say=click.echo))
    assert seeds is not None, "it is one or the other"
    drawn = range(first, first + seeds)
    sys.exit(command.run_many(design, drawn, jobs=jobs, say=click.echo, progress=_echo_progress))


def _echo_progress(text: str) -> None:
    """Show how far a batch is: on a terminal in one line, else nothing but the end matters."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
