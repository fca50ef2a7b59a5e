"""Topics of any cluster."""

from collections.abc import Mapping

import click

from tidings.cli.address import Address
from tidings.cli.asking import (
    ask,
    broker_option,
    json_option,
    pairs,
    say_json,
    say_table,
)
from tidings.client import admin
from tidings.client.cluster import Cluster


@click.group()
def topics() -> None:
    """List, describe, create and delete topics, of any cluster that speaks Kafka's protocol."""


@topics.command(name="list")
@broker_option
@json_option
def list_topics(*, broker: Address, as_json: bool) -> None:
    """List topics and how many partitions each has."""

    async def act(cluster: Cluster) -> None:
        found = await admin.topics(cluster)
        if as_json:
            say_json([{"topic": name, "partitions": count} for name, count in found.items()])
        else:
            say_table(("TOPIC", "PARTITIONS"), found.items())

    ask(broker, act)


@topics.command()
@click.argument("topic")
@broker_option
@json_option
def describe(*, topic: str, broker: Address, as_json: bool) -> None:
    """Show the partitions of a TOPIC and the configs that were set for it."""

    async def act(cluster: Cluster) -> None:
        found = await admin.describe_topic(cluster, topic)
        configs = await admin.topic_configs(cluster, topic)
        if as_json:
            partitions = [one._asdict() for one in found]
            say_json({"topic": topic, "configs": configs, "partitions": partitions})
            return
        say_table(
            ("PARTITION", "LEADER", "REPLICAS", "FIRST", "END", "RECORDS"),
            [
                (
                    one.partition,
                    one.leader,
                    ",".join(map(str, one.replicas)),
                    one.log_start_offset,
                    one.end_offset,
                    one.end_offset - one.log_start_offset,
                )
                for one in found
            ],
        )
        for name, value in configs.items():
            click.echo(f"{name}={value}")

    ask(broker, act)


@topics.command()
@click.argument("topic")
@click.option("--partitions", type=click.IntRange(min=1), help="Else what the broker thinks best.")
@click.option("--replicas", type=click.IntRange(min=1), help="Else what the broker thinks best.")
@click.option(
    "--config", "configs", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Repeat it."
)
@broker_option
def create(
    *,
    topic: str,
    partitions: int | None,
    replicas: int | None,
    configs: Mapping[str, str],
    broker: Address,
) -> None:
    """Create a TOPIC."""

    async def act(cluster: Cluster) -> None:
        await admin.create_topic(cluster, topic, partitions or -1, replicas or -1, configs)
        click.echo(f"created {topic}")

    ask(broker, act)


@topics.command()
@click.argument("topic")
@broker_option
def delete(*, topic: str, broker: Address) -> None:
    """Delete a TOPIC and its records."""

    async def act(cluster: Cluster) -> None:
        await admin.delete_topic(cluster, topic)
        click.echo(f"deleted {topic}")

    ask(broker, act)
