"""What a simulated cluster of brokers is made of. Everything follows from one seed."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tidings.engine.settings import Settings
from tidings.kafka.cluster.settings import RegistrySettings
from tidings.peers.settings import PeerSettings
from tidings.testing.plan import CHANCES, LATENCIES, Plan

CLUSTER: Final = "cluster"
"""The name by which it is asked for, where a design has one."""

SIM_CHANCES: Final = {
    "connection-reset": "a connection between two processes breaks, with what is on its way",
    "push-lost": "a slot that is filled is not told to somebody who watches",
    "push-late": "somebody who watches is told of a slot after later ones",
}
"""Faults of single messages, each with a chance; besides those of nodes."""

CLUSTER_TROUBLES: Final = {
    "halves": "the brokers fall into two groups that do not hear each other",
    "one-way": "one broker hears no other, but all hear it, or the reverse",
    "alone": "one broker and the rest do not hear each other",
    "unreachable": "no client hears a broker, and it hears no client",
    "crash": "one broker is killed and started again",
    "crash-all": "all brokers are killed and started again",
    "vanish": "one broker dies with its host: connections to it stay half open",
    "end": "one broker is told to end, and started again",
    "pause": "a broker is stopped as a whole, its timers too, and goes on",
    "store-away": "one broker reaches no store",
    "store-slow": "the stores take ten times as long, for all",
    "store-dying": "one broker or all get no answer from the stores, and then a refusal",
    "clock-jump": "a broker's wall clock jumps, forward or back, by up to an hour",
    "unheard": "the calls by which a broker shows that it is alive get no answer, others do",
    "watch-gap": "a broker is told of no slots, and then of the newest alone",
}
"""Faults that last, each with a mean interval between two of them."""

_NODE_CHANCES: Final = tuple(name for name in CHANCES if name != "message-doubled")
"""Those of nodes that there are here: no byte of a stream comes twice."""

CLUSTER_FAULTS: Final = (*_NODE_CHANCES, *SIM_CHANCES, *CLUSTER_TROUBLES)

CLUSTER_EXPECTED: Final = (
    *CLUSTER_FAULTS,
    "send ok",
    "send info",
    "send fail",
    "poll ok",
    "poll fail",
    "batch sent again",
    "append appended",
    "append occupied",
    "append unsettled",
    "append refused",
    "call-cut-off",
    "call-refused",
    "message-cut-off",
    "connection timed out",
    "push",
    "push without entry",
    "watch gap",
    "commit fenced",
    "save fenced",
    "ended in peace",
    "start given up",
    "assigned",
    "commit",
    "commit unknown",
    "offset fetch",
    "member slept",
    "sent away: coordinator_not_available",
    "sent away: not_coordinator",
    "sent away: rebalance_in_progress",
    "sent away: unknown_member_id",
    "jumped to a checkpoint",
    "page durable",
    "checkpoint named",
    "blob named",
    "reservation doomed",
    "doomed blob refused",
    "orphan deleted",
    "submission dropped",
    "trimmed",
)
"""What must happen at least once in a batch."""


@dataclass(kw_only=True)
class ClusterPlan(Plan):
    """One run of a cluster."""

    consumer_count: int = 3
    """Members of the consumer group."""
    partition_count: int = 6
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    peers: PeerSettings = field(default_factory=PeerSettings)
    session_ms: int = 3_000
    """After which silence members of the group are given up."""
    cache_bytes: int = 1_000_000
    """What a broker keeps to be read again."""


def draw_cluster(seed: int) -> ClusterPlan:
    """Return the run that belongs to a seed."""
    rng = Random(f"{seed}/cluster plan")
    plan = ClusterPlan(
        design=CLUSTER,
        seed=seed,
        on_services=False,
        node_count=rng.choice((1, 2, 2, 3, 3, 3, 4)),
        client_count=rng.choice((2, 4, 6)),
        consumer_count=rng.choice((1, 2, 3)),
        operation_interval_s=rng.choice((0.05, 0.2, 0.5)),
        call_timeout_s=rng.choice((0.3, 1.0, 2.0)),
        client_timeout_s=rng.choice((0.5, 1.0, 5.0)),
        time_limit_s=rng.uniform(8, 30),
        latency=rng.choice(LATENCIES),
        latency_s=10 ** rng.uniform(-4, -1.5),
        chances={
            name: rate
            for name in CHANCES
            if (rate := _draw_chance(rng, name)) and name in _NODE_CHANCES
        },
        intervals_s={name: rate for name in CLUSTER_TROUBLES if (rate := _draw_interval_s(rng))},
        trouble_s=rng.choice((1.0, 3.0, 6.0)),
        inline_bytes_max=rng.choice((-1, 40, 4096)),
        trims=True,
        page_slots=rng.choice((16, 64, 256)),
        session_ms=rng.choice((1_000, 3_000, 6_000)),
        cache_bytes=rng.choice((100, 10_000, 1_000_000)),
    )
    for name in SIM_CHANCES:
        if rng.random() < 0.6:
            plan.chances[name] = rng.uniform(0, 0.01 if name == "connection-reset" else 0.4)
    plan.settings = _draw_settings(rng)
    if rng.random() < 0.7:
        # Brokers that are soon taken for dead, so that coordinators move while members stay.
        plan.registry = RegistrySettings(
            beat_interval_s=0.3, session_s=rng.choice((1.0, 3.0)), unlinked_session_s=0.8
        )
    if rng.random() < 0.5:
        plan.peers = PeerSettings(
            handshake_s=1.0, beat_interval_s=0.3, silence_s_max=1.0, retry_max_s=1.0
        )
    return plan


def _draw_chance(rng: Random, name: str) -> float:
    """Return 0 in half of all runs, often little, sometimes much."""
    most = {"append": 0.3, "call": 0.01, "message": 0.2, "crash": 0.002}[name.partition("-")[0]]
    return rng.choice((0.0, 0.0, rng.uniform(0, most / 10), rng.uniform(0, most)))


def _draw_interval_s(rng: Random) -> float:
    """Return 0, for never, in two thirds of all runs."""
    return 0.0 if rng.random() < 2 / 3 else 10 ** rng.uniform(0.3, 1.3)


def _draw_settings(rng: Random) -> Settings:
    """Return the settings of brokers on shared stores, of which a few are changed."""
    settings = Settings(
        linger_s=0.005,
        gossip_interval_s=0.02,
        checkpoint_pages=1,
        collect_interval_s=0.5,
        collect_orphans_after_s=rng.choice((0.1, 0.5, 3600.0)),
        blobs_reserved=rng.choice((1, 2, 64)),
    )
    if rng.random() < 0.3:
        settings = replace(settings, gossip=False)
    if rng.random() < 0.3:
        settings = replace(
            settings, submission_bytes_max=200, spill_bytes_max=rng.choice((700, 10_000_000))
        )
    return settings
