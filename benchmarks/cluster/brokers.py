"""A cluster of brokers that grows, is asked what it counted, and loses brokers."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence

import members
from brokers import free_port
from databases import Server

import clients
from tidings.client.scraping import read_page

PATIENCE_S = 60.0

_LOOK_AGAIN_S = 0.02

_numbers = itertools.count()


class Brokers:
    """Brokers on the same stores."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        urls: tuple[str, str],
        options: Sequence[str],
        program: Sequence[str],
    ) -> None:
        """Begin with none; `stack` kills those that run at its end."""
        self._program = program
        order, blobs = urls
        self._options = ["--order", order, "--blobs", blobs, "--retention-ms", "-1", *options]
        self._stack = stack
        self._metrics: dict[Server, str] = {}

    @property
    def servers(self) -> list[Server]:
        """Those that run."""
        return list(self._metrics)

    @property
    def address(self) -> str:
        """Where clients find them: all addresses, with commas between them."""
        return ",".join(server.address for server in self._metrics)

    def grow(self) -> Server:
        """Start one more; return when all know it."""
        port = free_port()
        options = [*self._options, "--metrics-port", str(port)]
        broker = members.member(self._stack, options, self._program)
        broker.start()
        self._metrics[broker] = f"http://127.0.0.1:{port}/metrics"
        self._await_each_other()
        return broker

    def _await_each_other(self) -> None:
        deadline = time.perf_counter() + PATIENCE_S
        while not all(self._knows_all(page) for page in self._metrics.values()):
            if time.perf_counter() > deadline:
                raise clients.Failed("the brokers do not find each other")
            time.sleep(_LOOK_AGAIN_S)

    def _knows_all(self, page: str) -> bool:
        (known,) = read_page(page)["tidings_cluster_brokers"]
        return known.value == len(self._metrics)

    def kill(self, broker: Server) -> None:
        """Kill one."""
        del self._metrics[broker]
        broker.kill()

    def stop(self) -> None:
        """Tell all to end, and wait."""
        for broker in list(self._metrics):
            del self._metrics[broker]
            broker.stop()

    def published(self, broker: Server) -> float:
        """Return how many entries a broker has published."""
        samples = read_page(self._metrics[broker]).get("tidings_publishes_total", [])
        return sum(each.value for each in samples if each.labels["outcome"] == "appended")

    def store_counters(self) -> dict[tuple[str, str, str], float]:
        """Return what was counted of store calls: by `calls`, `seconds` or `bytes`, store, call."""
        counters: dict[tuple[str, str, str], float] = {}
        for page in map(read_page, self._metrics.values()):
            for what, series in _SERIES.items():
                for sample in page.get(series, []):
                    key = (what, sample.labels["store"], sample.labels["call"])
                    counters[key] = counters.get(key, 0.0) + sample.value
        return counters

    def new_topic(self, partitions: int) -> str:
        """Create a topic of a name that is used for nothing else."""
        topic = f"benchmark-{next(_numbers)}"
        clients.create_topic(self.address, topic, partitions)
        return topic


_SERIES = {
    "calls": "tidings_store_call_duration_seconds_count",
    "seconds": "tidings_store_call_duration_seconds_sum",
    "bytes": "tidings_store_call_bytes_total",
}


@contextlib.contextmanager
def brokers_on(
    urls: tuple[str, str],
    count: int = 0,
    options: Sequence[str] = (),
    program: Sequence[str] = members.TIDINGS,
) -> Iterator[Brokers]:
    """Run so many brokers at first; stop all of them in the end."""
    with contextlib.ExitStack() as stack:
        found = Brokers(stack, urls, options, program)
        for _ in range(count):
            found.grow()
        yield found
        found.stop()
