"""Nodes under the kafka workload, and the judgement of what they did."""

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from tidings.cli.options import ABOVE_ZERO, NOT_NEGATIVE, POSITIVE, design_option
from tidings.errors import InvalidRequest
from tidings.maelstrom.designs import MODULES
from tidings.workbench import challenge as workbench
from tidings.workbench.settings import Fault, LatencyDistribution, PartitionKind, Settings
from tidings.workbench.spectators import make_spectator

_FAULTS = ("partition", "kill", "pause", "loss", "slow", "duplicate")
_PARTITIONS = ("halves", "bridge", "one", "one-way", "ring")


def _own_node(design: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tidings", "maelstrom", "--design", design)


def _compared(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, tuple[str, ...]]:
    """Return what to run by the names under which it is shown."""
    found: dict[str, tuple[str, ...]] = {}
    for name in (text or "").split(",") if text else ():
        path = Path(name.strip())
        if path.name in MODULES and str(path) == path.name:
            found[path.name] = _own_node(path.name)
        elif path.is_file():
            executable = _executable(context, parameter, path)
            shown = path.name if path.name not in found else f"{path.name}-{len(found) + 1}"
            found[shown] = (str(executable),)
        else:
            raise click.BadParameter(
                f"{name!r} is neither a design nor a file. Designs are {', '.join(MODULES)}."
            )
    return found


def _concurrency(
    context: click.Context, parameter: click.Parameter, text: str
) -> Callable[[int], int]:
    """Return a function from the number of nodes to that of workers."""
    del context, parameter
    digits = text.removesuffix("n")
    if not digits.isdecimal() or int(digits) < 1:
        raise click.BadParameter(f"{text!r} is no number of workers. Say 10, or 2n for two a node.")
    count = int(digits)
    return lambda node_count: count * node_count if text.endswith("n") else count


def _faults(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    del context, parameter
    return () if text.strip() in {"none", ""} else _names(text, _FAULTS, "fault")


def _partitions(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    del context, parameter
    return _names(text, _PARTITIONS, "kind of partition")


def _names(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise click.BadParameter(
                f"{name!r} is no {what}. Say some of {', '.join(known)} with commas."
            )
    return names


def _executable(
    context: click.Context, parameter: click.Parameter, file: Path | None
) -> Path | None:
    del context, parameter
    if file is not None and not os.access(file, os.X_OK):
        raise click.BadParameter(f"{file} is not executable. Try: chmod +x {file}")
    # Not resolved: a link such as a virtual environment's python is more than what it points to.
    return file and file.absolute()


@click.command()
@click.option(
    "-w",
    "--workload",
    type=click.Choice(["kafka"]),
    default="kafka",
    help="What clients do; there is only the kafka workload.",
)
@click.option(
    "--bin",
    "binary",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_executable,
    help="The node to run, in any language; without it, this project's own.",
)
@design_option
@click.option(
    "--compare",
    "compared",
    callback=_compared,
    help="Designs and executables, with commas: runs them in turn and shows them side by side.",
)
@click.option("--node-count", type=POSITIVE, default=5, show_default=True)
@click.option(
    "--concurrency",
    default="1n",
    show_default=True,
    callback=_concurrency,
    help="How many clients work at once; 2n is two a node.",
)
@click.option("--time-limit", type=ABOVE_ZERO, default=60, show_default=True, help="Seconds.")
@click.option(
    "--rate", type=NOT_NEGATIVE, default=5, show_default=True, help="Operations a second."
)
@click.option(
    "--latency",
    type=NOT_NEGATIVE,
    default=0,
    show_default=True,
    help="Mean delay of messages that involve no client, in milliseconds.",
)
@click.option(
    "--latency-dist",
    type=click.Choice(["constant", "uniform", "exponential"]),
    default="constant",
    show_default=True,
)
@click.option(
    "--nemesis",
    default="none",
    show_default=True,
    callback=_faults,
    help=f"What goes wrong: {', '.join(_FAULTS)}, or several with commas.",
)
@click.option(
    "--partition",
    "partitions",
    default=",".join(_PARTITIONS),
    show_default=True,
    callback=_partitions,
    help="The kinds of partitions that the nemesis draws from, with commas.",
)
@click.option(
    "--nemesis-interval",
    type=ABOVE_ZERO,
    default=10,
    show_default=True,
    help="Mean seconds between the steps of a fault.",
)
@click.option("--max-writes-per-key", type=POSITIVE, default=16, show_default=True)
@click.option(
    "--recovery-time",
    type=NOT_NEGATIVE,
    default=10,
    show_default=True,
    help="Seconds of quiet before the final polls.",
)
@click.option("--seed", type=int, help="Repeats the workload and the faults of an earlier run.")
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where history, results and logs go; without it, store/ and the time.",
)
@click.option("--log-stderr", is_flag=True, help="Show what nodes print to stderr.")
@click.argument("node_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- NODE_ARGUMENTS]")
def challenge(
    *,
    workload: str,
    binary: Path | None,
    design: str,
    compared: dict[str, tuple[str, ...]],
    node_count: int,
    concurrency: Callable[[int], int],
    time_limit: float,
    rate: float,
    latency: float,
    latency_dist: str,
    nemesis: tuple[str, ...],
    partitions: tuple[str, ...],
    nemesis_interval: float,
    max_writes_per_key: int,
    recovery_time: float,
    seed: int | None,
    store: Path | None,
    log_stderr: bool,
    node_arguments: tuple[str, ...],
) -> None:
    """Run nodes under the kafka workload of challenge 5b, and judge them.

    Stands in for Maelstrom's `test -w kafka`: the same options, the same defaults. Exits with 0
    when the history is valid, 1 when it is not, 2 when the run could not be carried out and 130
    when it was interrupted.
    """
    del workload
    if node_arguments and binary is None:
        raise click.UsageError("Arguments after -- go to the node that --bin names. Add --bin.")
    if compared and binary is not None:
        raise click.UsageError("--compare names the nodes, --bin as well. Leave one of them out.")
    settings = Settings(
        command=_own_node(design) if binary is None else (str(binary), *node_arguments),
        name=design if binary is None else binary.name,
        store=_make_store(store),
        node_count=node_count,
        concurrency=concurrency(node_count),
        time_limit_s=time_limit,
        rate=rate,
        latency_ms=latency,
        latency_distribution=LatencyDistribution(latency_dist),
        faults=tuple(Fault(name) for name in nemesis),
        partition_kinds=tuple(PartitionKind(name) for name in partitions),
        nemesis_interval_s=nemesis_interval,
        max_writes_per_key=max_writes_per_key,
        recovery_s=recovery_time,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        log_stderr=log_stderr,
    )
    spectator = make_spectator(click.echo, _echo_error)
    if not compared:
        sys.exit(workbench.challenge(settings, spectator))
    runs = [
        replace(settings, name=name, command=command, store=_make_store(settings.store / name))
        for name, command in compared.items()
    ]
    sys.exit(workbench.compare(runs, settings.store, spectator))


def _echo_error(text: str) -> None:
    click.echo(text, err=True)


def _make_store(path: Path | None) -> Path:
    store = path or Path("store") / time.strftime("%Y%m%dT%H%M%S")
    try:
        store.mkdir(parents=True, exist_ok=path is not None)
    except FileExistsError:
        return _make_store(store.with_name(f"{store.name}-{os.getpid()}"))
    except OSError as error:
        raise click.UsageError(
            f"{store} cannot be made: {error.strerror}. Name another directory with --store."
        ) from error
    return store


@click.command()
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a report in HTML there.",
)
def check(history: Path, report: Path | None) -> None:
    """Judge a saved HISTORY: ours (.jsonl), or Maelstrom's (.edn).

    What else lies in its folder, settings and messages, goes into the report. Exits with 0 when it
    is valid, 1 when it is not, 2 when it is no history.
    """
    try:
        status = workbench.check_file(history, say=click.echo, report=report)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    sys.exit(status)
