"""The command line: turns options into settings and puts the parts together.

Each command imports what it needs when it runs: a node must answer soon after its start.
"""

import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

import tidings
from tidings.errors import InvalidRequest, TidingsError

_Command = TypeVar("_Command", bound=Callable[..., object])

_FAULTS = ("partition", "kill", "pause", "loss", "slow", "duplicate")
_PARTITIONS = ("halves", "bridge", "one", "one-way", "ring")
_POSITIVE = click.IntRange(min=1)
_NOT_NEGATIVE = click.FloatRange(min=0)
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tidings.__version__, message="tidings %(version)s")
def main() -> None:
    """A Kafka-style log that keeps nothing on its nodes."""
    if not __debug__:
        raise click.UsageError(
            "Python was started with -O or PYTHONOPTIMIZE, which removes the checks that Tidings "
            "relies on. Start it without."
        )


def _design_option(command: _Command) -> _Command:
    option = click.option(
        "--design",
        default="journal",
        show_default=True,
        callback=_design,
        help="One of this project's designs: journal, gossip, local-index, offset-list, naive.",
    )
    return option(command)


def _design(context: click.Context, parameter: click.Parameter, name: str) -> str:
    del context, parameter
    from tidings.maelstrom.designs import MODULES

    if name not in MODULES:
        raise click.BadParameter(f"{name!r} is no design. Choose one of {', '.join(MODULES)}.")
    return name


def _own_node(design: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tidings", "maelstrom", "--design", design)


def _compared(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, tuple[str, ...]]:
    """Return what to run by the names under which it is shown."""
    from tidings.maelstrom.designs import MODULES

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


@main.command()
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
@_design_option
@click.option(
    "--compare",
    "compared",
    callback=_compared,
    help="Designs and executables, with commas: runs them in turn and shows them side by side.",
)
@click.option("--node-count", type=_POSITIVE, default=5, show_default=True)
@click.option(
    "--concurrency",
    default="1n",
    show_default=True,
    callback=_concurrency,
    help="How many clients work at once; 2n is two a node.",
)
@click.option("--time-limit", type=_ABOVE_ZERO, default=60, show_default=True, help="Seconds.")
@click.option(
    "--rate", type=_NOT_NEGATIVE, default=5, show_default=True, help="Operations a second."
)
@click.option(
    "--latency",
    type=_NOT_NEGATIVE,
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
    type=_ABOVE_ZERO,
    default=10,
    show_default=True,
    help="Mean seconds between the steps of a fault.",
)
@click.option("--max-writes-per-key", type=_POSITIVE, default=16, show_default=True)
@click.option(
    "--recovery-time",
    type=_NOT_NEGATIVE,
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
    from tidings.workbench import challenge as workbench
    from tidings.workbench.settings import (
        Fault,
        LatencyDistribution,
        PartitionKind,
        Settings,
    )
    from tidings.workbench.spectators import make_spectator

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


@main.command()
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
    from tidings.workbench import challenge as workbench

    try:
        status = workbench.check_file(history, say=click.echo, report=report)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
    sys.exit(status)


@main.command()
@_design_option
@click.option(
    "--gossip/--no-gossip",
    default=True,
    show_default=True,
    help="Whether nodes of the journal design talk to each other or only to the services.",
)
def maelstrom(design: str, *, gossip: bool) -> None:
    """Be one node: Maelstrom's protocol on stdin and stdout."""
    from tidings.maelstrom.launch import run

    try:
        run(design, gossip=gossip)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error


def _spared(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    del context, parameter
    from tidings.testing.plan import FAULTS

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FAULTS:
            raise click.BadParameter(f"{name!r} is no fault. The faults are {', '.join(FAULTS)}.")
    return names


@main.command()
@_design_option
@click.option("--seed", type=int, help="Replay this one run and show its trace.")
@click.option("--seeds", type=_POSITIVE, help="Run so many seeds and show what came of them.")
@click.option("--from", "first", type=int, default=0, show_default=True, help="The first of them.")
@click.option("--jobs", type=_POSITIVE, help="Worker processes; without it, one a core.")
@click.option("--shrink", is_flag=True, help="With --seed: look for a smaller run that fails.")
@click.option("--quiet", is_flag=True, help="With --seed: show no trace.")
@click.option("--without", "spared", default="", callback=_spared, help="Faults, with commas.")
@click.option("--node-count", type=_POSITIVE, help="With --seed: instead of what the seed draws.")
@click.option("--clients", type=_POSITIVE, help="With --seed: instead of what the seed draws.")
@click.option("--time-limit", type=_ABOVE_ZERO, help="With --seed: seconds until faults heal.")
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
    from tidings.testing import command
    from tidings.testing.plan import draw_plan

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


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(folder: Path) -> None:
    """Tell what is damaged in the data FOLDER of a broker that does not run.

    Exits with 0 when all is sound, 1 when something is damaged, 2 when nobody could look.
    """
    from tidings.verify.command import run

    sys.exit(run(folder, say=click.echo))


@main.command()
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
def serve(
    *,
    data: Path,
    memory: bool,
    host: str,
    port: int,
    advertise: tuple[str, int] | None,
    auto_create: bool,
    partitions: int,
) -> None:
    """Be a broker that speaks Kafka's protocol, until SIGTERM or Ctrl-C."""
    # kio imports hypothesis where that is installed, which takes longer than all else here.
    sys.modules.setdefault("hypothesis", None)  # type: ignore[arg-type] # as import documents it
    from tidings.kafka import serve as broker
    from tidings.kafka.settings import BrokerSettings

    settings = BrokerSettings(
        host=host,
        port=port,
        advertised_host=advertise and advertise[0],
        advertised_port=advertise and advertise[1],
        auto_create_topics=auto_create,
        num_partitions=partitions,
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
