"""One screen that tells what a broker does right now."""

import itertools
import sys
import time
from collections.abc import Iterator

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tidings.client.overview import Calls, Overview, overview
from tidings.client.scraping import read_page
from tidings.errors import TidingsError

INTERRUPTED = 130


@click.command()
@click.argument("url", default="http://127.0.0.1:9464/metrics")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many looks.")
def top(*, url: str, interval_s: float, count: int | None) -> None:
    """Show what the broker does whose metrics are at URL, until Ctrl-C.

    The broker has to be started with --metrics-port. On a terminal there is one screen that
    changes; elsewhere each look is printed after the other.
    """
    console = Console()
    try:
        looks = itertools.islice(_looks(url, interval_s), count)
        if not console.is_terminal:
            for seen in looks:
                click.echo("\n".join([*screen(url, seen), ""]))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for seen in looks:
                lines = screen(url, seen)[: console.height]
                live.update(Text("\n".join(lines), no_wrap=True), refresh=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except TidingsError as error:
        raise click.ClickException(str(error)) from error


def _looks(url: str, interval_s: float) -> Iterator[Overview]:
    before, then_s = read_page(url), time.perf_counter()
    while True:
        time.sleep(interval_s)
        after, now_s = read_page(url), time.perf_counter()
        yield overview(before, after, now_s - then_s)
        before, then_s = after, now_s


def screen(url: str, seen: Overview) -> list[str]:
    """Return the lines of a screen."""
    batches = "-" if seen.batches_per_publish is None else f"{seen.batches_per_publish:.1f}"
    appended = f"{seen.records_per_s:,.0f} records/s   {_size(seen.appended_bytes_per_s)}/s"
    received, sent = _size(seen.request_bytes_per_s), _size(seen.response_bytes_per_s)
    counts = f"partitions {seen.partitions:,}   groups {seen.groups:,}"
    slots = f"{seen.slots_since_checkpoint:,} slots since the checkpoint"
    lines = [
        f"{url}   cpu {seen.cpu:.0%}   memory {_size(seen.memory_bytes)}",
        f"connections {seen.connections:,}   {counts}",
        f"appended    {appended}",
        f"clients     {received}/s in   {sent}/s out   {seen.failures_per_s:,.1f} failures/s",
        f"publishes   {seen.publishes_per_s:,.1f}/s   {batches} batches each   {slots}",
        "",
        *_table("REQUEST", seen.requests),
        "",
        *_table("STORE", seen.store_calls),
        "",
        f"{'GROUP':<24} {'TOPIC':<24} {'LAG':>10} {'CHANGE/s':>10}",
    ]
    lines += [
        f"{one.group:<24.24} {one.topic:<24.24} {one.lag:>10,} {one.change_per_s:>+10,.0f}"
        for one in seen.lags
    ]
    return lines


def _table(title: str, calls: list[Calls]) -> list[str]:
    """Return a table of the calls that happened."""
    return [
        f"{title:<24} {'PER SECOND':>12} {'P50':>10} {'P99':>10}",
        *(
            f"{one.name:<24.24} {one.per_s:>12,.1f} {_time(one.p50_s):>10} {_time(one.p99_s):>10}"
            for one in calls
            if one.per_s
        ),
    ]


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:,.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} GiB"
