"""Consumer groups of any cluster."""

import click

from tidings.cli.address import Address
from tidings.cli.asking import (
    ask,
    broker_option,
    json_option,
    say_json,
    say_table,
)
from tidings.client import admin
from tidings.client.cluster import Cluster


@click.group()
def groups() -> None:
    """List, describe and delete consumer groups, of any cluster that speaks Kafka's protocol."""


@groups.command(name="list")
@broker_option
@json_option
def list_groups(*, broker: Address, as_json: bool) -> None:
    """List groups, their states, and how many members each has."""

    async def act(cluster: Cluster) -> None:
        found = [
            await admin.describe_group(cluster, group) for group in await admin.groups(cluster)
        ]
        if as_json:
            say_json([one._asdict() for one in found])
        else:
            say_table(
                ("GROUP", "STATE", "MEMBERS"),
                [(one.group, one.state, len(one.members)) for one in found],
            )

    ask(broker, act)


@groups.command()
@click.argument("group")
@broker_option
@json_option
def describe(*, group: str, broker: Address, as_json: bool) -> None:
    """Show the members of a GROUP, and how far it is behind."""

    async def act(cluster: Cluster) -> None:
        found = await admin.describe_group(cluster, group)
        lags = await admin.lags(cluster, group)
        if as_json:
            say_json({**found._asdict(), "partitions": [lag._asdict() for lag in lags]})
            return
        click.echo(f"{group}: {found.state}, members: {', '.join(found.members) or 'none'}")
        say_table(("TOPIC", "PARTITION", "COMMITTED", "END", "LAG"), lags)

    ask(broker, act)


@groups.command()
@click.argument("group")
@broker_option
def delete(*, group: str, broker: Address) -> None:
    """Delete a GROUP that has no members, and what it committed."""

    async def act(cluster: Cluster) -> None:
        await admin.delete_group(cluster, group)
        click.echo(f"deleted {group}")

    ask(broker, act)
