"""What a month of a cluster costs in a cloud, beside Kafka with replicated disks.

Machines stand in three zones, as evenly as can be. What clients send and read is left out: it is
the same for both, and so is the machine of a broker.
"""

from dataclasses import dataclass

from tidings.kafka.cluster.cost import Calls, Limits, Traffic, calls

MONTH_S = 30 * 24 * 3600

REPLICAS = 3
"""Of Kafka's partitions, each in another zone."""

DISK_IN_USE = 0.6
"""How full disks are that must not get full."""

_ELSEWHERE = 2 / 3
"""How much of what goes to one machine comes from another zone."""

_GB = 1e9

Bill = dict[str, float]
"""Dollars a month, by what they are for."""


@dataclass(frozen=True, slots=True)
class Prices:
    """In dollars: list prices of Amazon in us-east-1, without discounts. docs/cost.md says more."""

    million_puts: float = 5.00
    million_gets: float = 0.40
    object_gb_month: float = 0.023
    disk_gb_month: float = 0.08
    zone_gb: float = 0.02
    """A gigabyte from one zone to another, which both of them pay half."""
    broker_month: float = 140.0
    """A machine with 4 cores and 16 GiB."""
    order_machine_month: float = 70.0
    """One with 2 cores and 8 GiB: a member of etcd, or one of two of PostgreSQL."""


def etcd_bill(traffic: Traffic, limits: Limits, prices: Prices, retention_s: float) -> Bill:
    """Return what brokers on etcd and S3 cost; S3 takes nothing for what goes there and back."""
    asked = calls(traffic, limits)
    entries_gb = asked.order_bytes * MONTH_S / _GB
    blobs_gb = asked.sent_blob_bytes * MONTH_S / _GB
    moved_gb = entries_gb * _etcd_ways(limits.brokers) + blobs_gb * (limits.brokers - 1)
    return {
        "requests": _requests(asked, prices),
        "stored records": traffic.bytes_per_s * retention_s / _GB * prices.object_gb_month,
        "between zones": moved_gb * prices.zone_gb,
        "machines": limits.brokers * prices.broker_month + 3 * prices.order_machine_month,
    }


def _etcd_ways(brokers: int) -> float:
    """Return how often a byte of an entry goes from one zone to another."""
    gossip = _gossip_ways(brokers)
    to_member = to_leader = _ELSEWHERE
    to_followers = 2
    told = brokers * _ELSEWHERE
    return gossip + to_member + to_leader + to_followers + told


def _gossip_ways(brokers: int) -> float:
    """Return the same of what brokers say to each other: to who publishes, and then to all."""
    return (brokers - 1) / brokers + (brokers - 1)


def postgres_bill(traffic: Traffic, limits: Limits, prices: Prices, retention_s: float) -> Bill:
    """Return what brokers on PostgreSQL with a standby cost; its requests cost nothing."""
    asked = calls(traffic, limits)
    month_gb = traffic.bytes_per_s * MONTH_S / _GB
    entries_gb = asked.order_bytes * MONTH_S / _GB
    to_both = _ELSEWHERE + 1
    # What was in entries is stored once more, as segments.
    moved_gb = (month_gb + entries_gb) * to_both + entries_gb * _gossip_ways(limits.brokers)
    moved_gb += asked.sent_blob_bytes * MONTH_S / _GB * (limits.brokers - 1)
    stored_gb = 2 * traffic.bytes_per_s * retention_s / _GB / DISK_IN_USE
    return {
        "requests": 0.0,
        "stored records": stored_gb * prices.disk_gb_month,
        "between zones": moved_gb * prices.zone_gb,
        "machines": limits.brokers * prices.broker_month + 2 * prices.order_machine_month,
    }


def kafka_bill(traffic: Traffic, brokers: int, prices: Prices, retention_s: float) -> Bill:
    """Return what as many brokers of Kafka cost that keep three replicas on disks."""
    stored_gb = REPLICAS * traffic.bytes_per_s * retention_s / _GB / DISK_IN_USE
    moved_gb = (REPLICAS - 1) * traffic.bytes_per_s * MONTH_S / _GB
    return {
        "stored records": stored_gb * prices.disk_gb_month,
        "between zones": moved_gb * prices.zone_gb,
        "machines": brokers * prices.broker_month,
    }


def _requests(asked: Calls, prices: Prices) -> float:
    """Return what requests to S3 cost; those that delete cost nothing."""
    millions = MONTH_S / 1e6
    return millions * (asked.puts * prices.million_puts + asked.gets * prices.million_gets)
