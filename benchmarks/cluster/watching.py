"""A load on a cluster, and who works for it meanwhile."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import measures
import processes
from measures import Figures

from cluster.brokers import Brokers
from cluster.stacks import Stack, cpu_s

PARTITIONS = 12

CORES = os.cpu_count() or 1
NOBODY = "nobody"
APPENDING = "share of the time with an append on its way"

BUSY = 0.9
"""What is in use for so much of the time is saturated."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a load showed."""

    told: Mapping[str, float]
    """What the load generator tells."""
    cores: Figures
    """By who used them; and for how much of the time an append was on its way."""
    asked: Figures
    """What 1,000 batches cost the stores, as brokers count it and as the stores do."""


def watch(
    stack: Stack,
    brokers: Brokers,
    topic: str,
    *,
    connections: int,
    seconds: float,
    rate: float = 0,
    size: int = 100,
) -> Watched:
    """Let the load generator produce to all brokers; see `measures.generate`.

    The topic has `PARTITIONS` partitions.
    """
    idle_s, used_s = processes.idle_s(), _cpu_s(stack, brokers)
    calls, counters = brokers.store_counters(), stack.counters()
    told = measures.generate(
        brokers.address,
        topic,
        connections=connections,
        seconds=seconds,
        rate=rate,
        partitions=PARTITIONS,
        size=size,
    )
    idle_s = processes.idle_s() - idle_s
    used_s = difference(_cpu_s(stack, brokers), used_s)
    calls = difference(brokers.store_counters(), calls)
    counters = difference(stack.counters(), counters)
    batches = told["requests_per_s"] * told["seconds"]
    used_s |= {"clients": told["own_cpu_s"], NOBODY: idle_s}
    # What else runs on this machine, and what the kernel does for nobody.
    used_s["others"] = max(0.0, CORES * told["seconds"] - sum(used_s.values()))
    cores = {cores_of(role): used / told["seconds"] for role, used in used_s.items()}
    appending_s = calls.get(("seconds", "order", "append"), 0.0)
    cores[APPENDING] = appending_s / told["seconds"]
    return Watched(told, cores, for_1000(batches, asked(calls)) | for_1000(batches, counters))


def cores_of(role: str) -> str:
    """Return what the cores are called that somebody uses."""
    return f"cores of {role}"


def saturated(cores: Figures, core_count: int = CORES) -> str:
    """Say what was the limit, as far as this machine can tell."""
    used = {name: figure for name, figure in cores.items() if name.startswith(cores_of(""))}
    idle = used.pop(cores_of(NOBODY), 0.0)
    most = max(used, key=lambda name: used[name])
    most_used = f"most of them, {used[most]:.2f}, were {most}"
    if cores[APPENDING] >= BUSY:
        return "the order store: an append was on its way nearly all the time"
    if idle <= (1 - BUSY) * core_count:
        return f"the cores of this machine: {idle:.2f} of {core_count} were idle; {most_used}"
    return f"neither cores ({idle:.2f} of {core_count} were idle; {most_used}) nor the order store"


def _cpu_s(stack: Stack, brokers: Brokers) -> dict[str, float]:
    return {"brokers": cpu_s(brokers.servers), **stack.cpu_s()}


def difference(after: Mapping[Key, float], before: Mapping[Key, float]) -> dict[Key, float]:
    """Return how much was counted between two looks; what was not there before was 0."""
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def asked(calls: Mapping[tuple[str, str, str], float]) -> Figures:
    """Return what brokers asked of their stores: calls by kind, and bytes; see `store_counters`."""
    figures: Figures = {}
    for (what, store, call), count in sorted(calls.items()):
        if what == "calls":
            figures[f"{store} {call}, calls"] = count
        elif what == "bytes":
            title = f"{store}, kB there and back"
            figures[title] = figures.get(title, 0.0) + count / 1e3
    return figures


def for_1000(batches: float, figures: Figures) -> Figures:
    """Return figures of so many batches as they are for 1,000; without what is nothing."""
    return {title: figure / batches * 1000 for title, figure in figures.items() if figure}
