"""Counts requests, around the function that answers them."""

from collections.abc import Callable, Iterator

from tidings.kafka.answering import Answerer, Buffers, Peer, Pending, answer
from tidings.kafka.broker import Broker
from tidings.kafka.framing import SIZE_BYTES
from tidings.kafka.metrics.exposition import Family, Histogram, Sample

DURATIONS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of the buckets of every duration."""


class _Counts:
    """Of one API."""

    __slots__ = ("durations", "failures", "request_bytes", "response_bytes")

    def __init__(self) -> None:
        self.durations = Histogram(DURATIONS_S)
        self.failures = 0
        self.request_bytes = 0
        self.response_bytes = 0


class RequestMetrics:
    """What became of the requests of each API."""

    def __init__(self, now_s: Callable[[], float], answerer: Answerer = answer) -> None:
        """Count what `answerer` answers; `now_s` is a clock that does not jump."""
        self._now_s = now_s
        self._answerer = answerer
        self._of: dict[str, _Counts] = {}

    async def answer(
        self, broker: Broker, peer: Peer, pending: Pending, answer_bytes_max: int
    ) -> Buffers:
        """Answer a request, and count it."""
        module = pending.api.module
        counts = self._of.get(module)
        if counts is None:
            counts = self._of[module] = _Counts()
        counts.request_bytes += SIZE_BYTES + len(pending.frame)
        begun_s = self._now_s()
        try:
            buffers = await self._answerer(broker, peer, pending, answer_bytes_max)
        except Exception:
            counts.failures += 1
            raise
        counts.durations.observe(self._now_s() - begun_s)
        counts.response_bytes += sum(map(len, buffers))
        return buffers

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        by_api = {kafka_name(module): counts for module, counts in sorted(self._of.items())}
        yield Family(
            "tidings_request_duration_seconds",
            "histogram",
            "From when a request's turn had come to its answer; a Fetch may wait for records.",
            [
                sample
                for api, counts in by_api.items()
                for sample in counts.durations.samples({"api": api})
            ],
        )
        yield Family(
            "tidings_request_failures_total",
            "counter",
            "Requests that had no answer, but their connection closed.",
            [Sample(counts.failures, {"api": api}) for api, counts in by_api.items()],
        )
        yield Family(
            "tidings_request_bytes_total",
            "counter",
            "Bytes of requests.",
            [Sample(counts.request_bytes, {"api": api}) for api, counts in by_api.items()],
        )
        yield Family(
            "tidings_response_bytes_total",
            "counter",
            "Bytes of responses.",
            [Sample(counts.response_bytes, {"api": api}) for api, counts in by_api.items()],
        )


def kafka_name(module: str) -> str:
    """Return Kafka's name of an API, such as OffsetCommit, from kio's."""
    return "".join(word.capitalize() for word in module.split("_"))
