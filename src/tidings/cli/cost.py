"""What a cluster asks of its stores, and what that costs."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import click

from tidings.cli.asking import json_option, say_json, say_table
from tidings.kafka.cluster.cost import Limits, Traffic, calls, etcd_limits, postgres_limits
from tidings.kafka.cluster.prices import (
    MONTH_S,
    Bill,
    Prices,
    etcd_bill,
    kafka_bill,
    postgres_bill,
)
from tidings.types import Json

_MB = 1e6
_HOUR_S = 3600

_STORES: dict[str, tuple[Callable[..., Limits], Callable[..., Bill]]] = {
    "etcd": (etcd_limits, etcd_bill),
    "postgres": (postgres_limits, postgres_bill),
}

_NAMES = [field.name for field in fields(Prices)]


def _prices(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> Prices:
    del context, parameter
    prices = Prices()
    for word in words:
        name, _, value = word.partition("=")
        if name not in _NAMES:
            raise click.BadParameter(f"{word!r} is no price. Say NAME=USD, of {', '.join(_NAMES)}.")
        try:
            prices = replace(prices, **{name: float(value)})
        except ValueError:
            raise click.BadParameter(f"{value!r} is no number of dollars.") from None
    return prices


@click.command()
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    default=(1.0, 10.0, 100.0),
    show_default=True,
    help="Megabytes a second that are produced; as often as you like.",
)
@click.option(
    "--batch-bytes",
    type=click.IntRange(min=1),
    default=Traffic(1).batch_bytes,
    show_default=True,
    help="Of one record batch, as producers send it.",
)
@click.option(
    "--behind",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="How often each record is read when it is no longer in brokers' memory.",
)
@click.option(
    "--brokers", type=click.IntRange(min=1), default=3, show_default=True, help="How many."
)
@click.option(
    "--store",
    type=click.Choice(tuple(_STORES)),
    default="etcd",
    show_default=True,
    help="etcd with S3, or PostgreSQL.",
)
@click.option(
    "--retention-hours",
    type=click.FloatRange(min=0),
    default=168.0,
    show_default=True,
    help="How long records are kept.",
)
@click.option(
    "--append-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="How long the order store takes to answer a write; 4 for etcd, 2 for PostgreSQL.",
)
@click.option(
    "--put-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="How long the blob store takes to store a blob; 30 for S3, 10 for PostgreSQL.",
)
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="NAME=USD",
    callback=_prices,
    help=f"Another price: {', '.join(_NAMES)}.",
)
@json_option
def cost(
    *,
    rates: Sequence[float],
    batch_bytes: int,
    behind: float,
    brokers: int,
    store: str,
    retention_hours: float,
    append_ms: float | None,
    put_ms: float | None,
    prices: Prices,
    as_json: bool,
) -> None:
    """Tell what a month of a cluster asks of its stores, and costs, beside Kafka's brokers."""
    make_limits, bill = _STORES[store]
    limits = make_limits(brokers)
    if append_ms is not None:
        limits = replace(limits, append_s=append_ms / 1000)
    if put_ms is not None:
        limits = replace(limits, put_s=put_ms / 1000)
    retention_s = retention_hours * _HOUR_S
    columns: dict[str, dict[str, float]] = {}
    for rate in rates:
        traffic = Traffic(rate * _MB, batch_bytes, behind)
        columns[f"{rate:g} MB/s"] = {
            **_asked(traffic, limits),
            **_named("Tidings", bill(traffic, limits, prices, retention_s)),
            **_named("Kafka", kafka_bill(traffic, brokers, prices, retention_s)),
        }
    _say(columns, as_json=as_json)


def _asked(traffic: Traffic, limits: Limits) -> dict[str, float]:
    asked = calls(traffic, limits)
    million = MONTH_S / 1e6
    return {
        "order store: writes, million": asked.order_writes * million,
        "order store: reads, million": asked.order_reads * million,
        "order store: records, GB": asked.order_bytes * MONTH_S / 1e9,
        "blob store: PUT, million": asked.puts * million,
        "blob store: GET, million": asked.gets * million,
        "blob store: DELETE, million": asked.objects * million,
    }


def _named(who: str, bill: Bill) -> dict[str, float]:
    lines = {f"{who}: {name}, USD": dollars for name, dollars in bill.items()}
    return lines | {f"{who} in all, USD": sum(bill.values())}


def _say(columns: dict[str, dict[str, float]], *, as_json: bool) -> None:
    if as_json:
        document: dict[str, Json] = {name: {**column} for name, column in columns.items()}
        say_json(document)
        return
    titles = list(next(iter(columns.values())))
    rows = [[title, *(_cell(column[title]) for column in columns.values())] for title in titles]
    say_table(("A MONTH", *columns), rows)


def _cell(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
