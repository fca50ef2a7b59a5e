"""How the brokers of a cluster are."""

import click

from tidings.cli.asking import json_option, say_json, say_table
from tidings.client.brokers import BrokerState, ClusterState, cluster_state
from tidings.clock import SystemClock
from tidings.errors import TidingsError
from tidings.types import Json

_TITLES = (
    "ID",
    "ADDRESS",
    "RACK",
    "SLOT",
    "BEHIND",
    "CONNECTED",
    "CLIENTS",
    "BEAT",
    "APPEND P99",
    "FAILED",
    "READY",
)


@click.command()
@click.argument("url", default="http://127.0.0.1:9464/metrics")
@json_option
def cluster(*, url: str, as_json: bool) -> None:
    """Show how the brokers are that the broker knows whose metrics are at URL.

    Brokers have to be started with --metrics-port, and are asked there.
    """
    try:
        found = cluster_state(url)
    except TidingsError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        say_json(_document(found))
        return
    say_table(_TITLES, [_row(broker, len(found.brokers)) for broker in found.brokers])
    click.echo(f"\n{_checkpoint(found)}")


def _row(broker: BrokerState, count: int) -> list[object]:
    connected = None if broker.connected is None else f"{broker.connected} of {count - 1}"
    cells = [
        broker.node_id,
        broker.address,
        broker.rack or None,
        broker.next_slot,
        broker.behind_slots,
        connected,
        broker.clients,
        None if broker.beat_age_s is None else f"{broker.beat_age_s:.1f} s",
        None if broker.append_p99_s is None else f"{broker.append_p99_s * 1000:.1f} ms",
        broker.failures,
        "yes" if broker.trouble is None else broker.trouble,
    ]
    return ["-" if cell is None else cell for cell in cells]


def _checkpoint(found: ClusterState) -> str:
    age = ""
    if found.checkpoint_at_s is not None:
        age = f", made {max(SystemClock().now_ms() / 1000 - found.checkpoint_at_s, 0):,.0f} s ago"
    return (
        f"newest checkpoint: slot {found.checkpoint_slot:,}{age}; "
        f"{found.slots_since_checkpoint:,} slots since"
    )


def _document(found: ClusterState) -> Json:
    return {
        "brokers": [{**broker._asdict()} for broker in found.brokers],
        "checkpoint_slot": found.checkpoint_slot,
        "slots_since_checkpoint": found.slots_since_checkpoint,
        "checkpoint_at_s": found.checkpoint_at_s,
    }
