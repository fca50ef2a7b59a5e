"""What a simulated run is made of. Everything follows from the design and one seed.

Each run draws the rate of every fault anew, so that some runs are calm in one respect and wild in
another: a bug that needs two things at once shows only where a third does not drown it (swarm
testing; Groce et al., 2012).
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, NamedTuple

from tidings.core.pages import PAGE_SLOTS, PageFormat
from tidings.engine.settings import Settings
from tidings.maelstrom.designs import MODULES

CORRECT_DESIGNS: Final = tuple(name for name in MODULES if name != "local-index")

CHANCES: Final = {
    "append-dropped": "a conditional append is not applied, and nobody says so",
    "append-unanswered": "a conditional append is applied, and nobody says so",
    "append-late": "a conditional append is applied after its caller gave up",
    "call-dropped": "another call does not reach its store",
    "call-unanswered": "another call is carried out, and nobody says so",
    "call-late": "another call is carried out after its caller gave up",
    "call-slow": "a store takes up to a second longer",
    "message-lost": "a message between nodes is lost",
    "message-doubled": "a message between nodes arrives twice",
    "message-slow": "a message between nodes arrives after later ones",
    "crash-before-call": "a node dies just before its call takes effect, which it never does",
    "crash-after-call": "a node dies just after its call took effect",
}
"""Faults that happen to single messages and calls, each with a chance."""

TROUBLES: Final = {
    "halves": "the nodes fall into two groups that do not hear each other",
    "one-way": "one node hears no other, but all hear it, or the reverse",
    "bridge": "two groups hear each other only through one node",
    "alone": "one node and the rest do not hear each other",
    "crash": "one node dies and comes back with empty memory",
    "crash-all": "all nodes die and come back with empty memory",
    "pause": "a node stands still, often for longer than every time-out",
    "store-away": "one node reaches no store",
    "store-slow": "the stores take ten times as long, for all",
    "clock-jump": "a node's wall clock jumps, forward or back, by up to an hour",
    "store-full": "a store definitely refuses whatever is new, as a full disk does",
}
"""Faults that last, each with a mean interval between two of them."""

JOURNAL_TROUBLES: Final = {
    "forgotten": "all other nodes take a node for one that left, and then for one that comes again",
    "store-dying": "one node or all get no answer from the stores, and then a refusal",
}
"""Likewise, only for `journal`: not everywhere do nodes come and go, and stores refuse at once."""

FAULTS: Final = (*CHANCES, *TROUBLES, *JOURNAL_TROUBLES)

LATENCIES: Final = ("none", "constant", "uniform", "exponential")

ORPHANS_SOON_S: Final = 2.0
"""With a setting up to this, orphans are deleted within the time of a run."""

HEALED_LATENCY_S: Final = 0.005
"""The mean latency once all faults have healed, at most."""


class FailingCall(NamedTuple):
    """A call that gets no answer, counted over the stores' calls and the nodes' messages."""

    number: int
    """From 1."""
    takes_effect: bool
    """Whether it is carried out all the same."""
    is_for_good: bool
    """Whether all that follow fail like it, until the faults heal."""


@dataclass(kw_only=True)
class Plan:
    """One run."""

    design: str
    seed: int
    on_services: bool = True
    """Whether nodes use lin-kv and seq-kv; else, only for `journal`, the stores in memory."""
    node_count: int = 3
    client_count: int = 10
    operation_interval_s: float = 0.1
    """The mean pause of a client between two operations."""
    call_timeout_s: float = 2.0
    """How long nodes wait for a store's answer; on the services always this long."""
    client_timeout_s: float = 5.0
    """How long a client waits for a reply, until all faults heal."""
    time_limit_s: float = 6.0
    """How long anything may happen. Then all faults heal."""
    latency: str = "none"
    """Of `LATENCIES`."""
    latency_s: float = 0.0
    """The mean one-way delay of messages that involve no client."""
    chances: dict[str, float] = field(default_factory=dict)
    """The chance of each of `CHANCES` that may happen."""
    intervals_s: dict[str, float] = field(default_factory=dict)
    """The mean interval of each of `TROUBLES` that may happen."""
    trouble_s: float = 1.0
    """How long a trouble lasts, on average."""
    failing_call: FailingCall | None = None
    """See `tidings.testing.sweep`; no seed draws it."""
    # Only for `journal`
    settings: Settings = field(default_factory=Settings)
    inline_bytes_max: int = 4096
    """Stores in memory only. Negative: all record bytes go into blobs."""
    filled_slots: int = 0
    """Slots that are filled before the nodes start, so that pages end during the run."""
    trims: bool = False
    """Whether pages have segments, so that nodes trim; only with the stores in memory."""
    page_slots: int = PAGE_SLOTS
    """The slots of a page; many in production, but what matters are their ends."""

    @property
    def collects_at_once(self) -> bool:
        """Whether one look of a node's collector takes in all that is dead."""
        usual = Settings()
        return self.trims and (
            self.settings.collect_partitions_max == usual.collect_partitions_max
            and self.settings.collect_sections_max == usual.collect_sections_max
            and self.settings.collect_pages_max == usual.collect_pages_max
            and self.settings.collect_blobs_max == usual.collect_blobs_max
        )

    @property
    def collects_orphans_soon(self) -> bool:
        """Whether all that nobody came to name is deleted within the time of a run."""
        return self.collects_at_once and self.settings.collect_orphans_after_s <= ORPHANS_SOON_S

    @property
    def page_format(self) -> PageFormat:
        """How the journal's pages are cut."""
        return PageFormat(self.page_slots, 2**31, 2**31, has_segments=self.trims)


def draw_plan(design: str, seed: int) -> Plan:
    """Return the run that belongs to a seed."""
    rng = Random(f"{seed}/plan")
    plan = Plan(
        design=design,
        seed=seed,
        node_count=rng.choice((1, 2, 3, 3, 3, 4, 5)),
        client_count=rng.choice((3, 6, 10, 15)),
        operation_interval_s=rng.choice((0.01, 0.03, 0.1)),
        client_timeout_s=rng.choice((0.3, 1.0, 5.0)),
        time_limit_s=rng.uniform(2, 8),
        latency=rng.choice(LATENCIES),
        latency_s=_draw_latency_s(rng),
        chances={name: rate for name in CHANCES if (rate := _draw_chance(rng, name))},
        intervals_s={name: rate for name in TROUBLES if (rate := _draw_interval_s(rng))},
        trouble_s=rng.choice((0.3, 1.0, 3.0, 6.0)),
    )
    if design == "journal":
        _draw_journal(plan, Random(f"{seed}/settings"))
    return plan


def _draw_latency_s(rng: Random) -> float:
    """Between a tenth of a millisecond and 50 ms; in one run of five up to two seconds."""
    return (
        float(10 ** rng.uniform(-1.3, 0.3)) if rng.random() < 0.2 else 10 ** rng.uniform(-4, -1.3)
    )


def _draw_chance(rng: Random, name: str) -> float:
    """Return 0 in a third of all runs, often little, sometimes much."""
    most = {"append": 0.4, "call": 0.01, "message": 0.4, "crash": 0.01}[name.partition("-")[0]]
    return rng.choice((0.0, rng.uniform(0, most / 10), rng.uniform(0, most)))


def _draw_interval_s(rng: Random) -> float:
    """Return 0, for never, in two thirds of all runs."""
    return 0.0 if rng.random() < 2 / 3 else 10 ** rng.uniform(-0.3, 1)


def _draw_journal(plan: Plan, rng: Random) -> None:
    plan.on_services = rng.random() < 0.4
    if not plan.on_services:
        plan.call_timeout_s = rng.choice((0.1, 0.5, 2.0))
    plan.inline_bytes_max = rng.choice((-1, -1, 2, 4096))
    plan.page_slots = rng.choice((16, 32, 64, PAGE_SLOTS))
    # On the services each slot is a call of its own, for each life of each node.
    if rng.random() < (0.2 if plan.on_services else 0.6):
        pages = rng.choice((1, 1, 1, 2))
        plan.filled_slots = pages * plan.page_slots - rng.randint(1, min(30, plan.page_slots))
    plan.trims = not plan.on_services and rng.random() < 0.7
    plan.settings = draw_settings(rng)
    if plan.trims:
        # What matters comes soon: a checkpoint, a trim, and a writer that sleeps through both.
        plan.page_slots = rng.choice((8, 8, 16, 64, PAGE_SLOTS))
        plan.filled_slots = rng.choice((0, 1, 2)) * plan.page_slots + rng.randint(1, 7)
        plan.settings = replace(
            plan.settings,
            checkpoint_pages=1,
            retention_interval_s=rng.choice((0.1, 1.0)),
            collect_interval_s=rng.choice((0.1, 0.3, 1.0)),
            collect_orphans_after_s=rng.choice((0.02, 0.1, 0.5, ORPHANS_SOON_S, 3600.0)),
            # A blob that was given up may be stored all the same.
            blob_patience_s=rng.choice((0.0, 0.0, plan.settings.blob_patience_s)),
            # Few are collected soon, so that a writer may come after that.
            blobs_reserved=rng.choice((1, 2, plan.settings.blobs_reserved)),
        )
        plan.intervals_s.setdefault("pause", 2.0)
    _draw_cluster(plan, Random(f"{plan.seed}/cluster"))


def _draw_cluster(plan: Plan, rng: Random) -> None:
    """Draw what was thought of last, apart from the rest, so that seeds keep that."""
    plan.intervals_s |= {name: rate for name in JOURNAL_TROUBLES if (rate := _draw_interval_s(rng))}
    plan.settings = replace(
        plan.settings,
        rewrite_live_share=rng.choice((plan.settings.rewrite_live_share, 1.0)),
        rewrite_dead_bytes_min=rng.choice((1, 1, 300, plan.settings.rewrite_dead_bytes_min)),
        # Who has a hundred pages to rewrite must come to an end while the judge waits.
        rewrite_pages_max=rng.choice((5, plan.settings.rewrite_pages_max)),
        rewrite_copied_bytes_max=rng.choice((1, plan.settings.rewrite_copied_bytes_max)),
        gossip_blob_bytes_max=rng.choice((0, 20, 10_000)),
        fresh_blob_bytes=rng.choice((0, 0, 100, plan.settings.fresh_blob_bytes)),
    )
    if rng.random() < 0.3:
        # An operation takes some hundred bytes of these.
        plan.settings = replace(
            plan.settings,
            submission_bytes_max=rng.choice((200, 600)),
            spill_bytes_max=rng.choice((700, 10_000_000)),
        )


def draw_settings(rng: Random) -> Settings:
    """Return settings of which some are tiny, some huge, and most the defaults."""
    drawn = {
        "linger_s": (0.0, 0.1),
        "lanes": (2, 2, 5),
        "courtesy": (0.0, 2.0),
        "submission_operations_max": (1, 2, 100_000),
        "submission_bytes_max": (1, 100),
        "queued_operations_max": (4, 1_000_000),
        "submission_window_slots": (1, 2, 1024),
        "blob_patience_s": (0.0, 20.0),
        "blobs_reserved": (1, 2),
        "gossip": (False,),
        "gossip_interval_s": (0.0, 2.0),
        "gossip_bytes_max": (1, 10_000_000),
        "forward_patience_min_s": (0.0, 1.0),
        "ping_interval_s": (0.05, 5.0),
        "anti_entropy_s": (0.1, 2.0),
        "gap_patience_s": (0.0, 1.0),
        "ahead_slots_max": (1, 2),
        "read_slots_max": (1, 3, 1000),
        "look_ahead_slots": (0, 1, 100),
        "retry_min_s": (0.001, 1.0),
        "entry_cache_bytes": (1, 1000),
        "page_cache_bytes": (1, 1000),
        "blob_cache_bytes": (1, 1000),
        "index_entries_max": (0, 10),
        "fetch_batches_max": (1, 20),
        "concurrent_reads_max": (1, 2),
        "checkpoint_pages": (1, 1, 2),
        "retention_partitions_max": (1, 2),
        "collect_partitions_max": (1, 2),
        "collect_sections_max": (1, 3),
        "collect_pages_max": (1, 2),
        "collect_blobs_max": (1, 2),
    }
    share = rng.choice((0.0, 0.2, 0.6))
    changed = {name: rng.choice(values) for name, values in drawn.items() if rng.random() < share}
    return Settings(**changed)  # type: ignore[arg-type]  # the values above have the fields' types
