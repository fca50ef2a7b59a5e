"""What a broker knows of the others, for operators."""

from collections.abc import Collection, Iterator

from tidings.kafka.cluster.brokers import Registration
from tidings.kafka.cluster.registry import Registry
from tidings.kafka.metrics.exposition import Family, Sample


def families(registry: Registry, linked: Collection[int]) -> Iterator[Family]:
    """Yield what can be seen; `linked` are the node ids of the brokers it has connections to."""
    own = registry.own.node_id
    brokers = registry.registrations
    yield Family("tidings_broker_id", "gauge", "Its node id.", [Sample(own)])
    yield Family(
        "tidings_cluster_brokers",
        "gauge",
        "Brokers that are alive, as far as this one knows.",
        [Sample(len(brokers))],
    )
    yield Family(
        "tidings_cluster_broker_info",
        "gauge",
        "Always 1; what a broker that is alive says of itself.",
        [Sample(1, _told(broker)) for broker in brokers],
    )
    yield Family(
        "tidings_gossip_connected",
        "gauge",
        "Whether there is a connection to another broker that is alive.",
        [
            Sample(broker.node_id in linked, {"broker": str(broker.node_id)})
            for broker in brokers
            if broker.node_id != own
        ],
    )
    yield Family(
        "tidings_beat_age_seconds",
        "gauge",
        "Since this broker last told the others that it is alive.",
        [Sample(registry.beat_age_s)],
    )


def _told(broker: Registration) -> dict[str, str]:
    metrics = "" if broker.metrics_port is None else _joined(broker.host, broker.metrics_port)
    return {
        "broker": str(broker.node_id),
        "address": _joined(broker.host, broker.port),
        "rack": broker.rack or "",
        "metrics": metrics,
    }


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
