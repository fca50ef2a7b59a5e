"""Counts requests, around the function that answers them."""

from collections.abc import Callable, Iterator

from tidings.kafka.answering import ANSWERER, Answerer, Begun, Peer, Pending
from tidings.kafka.broker import Broker
from tidings.kafka.codec import Buffers
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

    def answered(self, duration_s: float, buffers: Buffers) -> None:
        """Count an answer."""
        self.durations.observe(duration_s)
        self.response_bytes += sum(map(len, buffers))


class _CountedWork:
    """A request at work without a task, which is counted when it is answered."""

    __slots__ = ("_begun", "_begun_s", "_counts", "_now_s", "results")

    def __init__(
        self, begun: Begun, counts: _Counts, begun_s: float, now_s: Callable[[], float]
    ) -> None:
        self.results = begun.results
        self._begun = begun
        self._counts = counts
        self._begun_s = begun_s
        self._now_s = now_s

    def answer(self) -> Buffers:
        """See `Begun`."""
        try:
            buffers = self._begun.answer()
        except Exception:
            self._counts.failures += 1
            raise
        self._counts.answered(self._now_s() - self._begun_s, buffers)
        return buffers

    def cancel(self) -> None:
        """See `Begun`."""
        self._begun.cancel()


class RequestMetrics:
    """What became of the requests of each API."""

    def __init__(self, now_s: Callable[[], float], inner: Answerer = ANSWERER) -> None:
        """Count what `inner` answers; `now_s` is a clock that does not jump."""
        self._now_s = now_s
        self._inner = inner
        self._of: dict[str, _Counts] = {}

    @property
    def answerer(self) -> Answerer:
        """What answers requests, and counts them."""
        return Answerer(self._answer, self._begin)

    async def _answer(
        self, broker: Broker, peer: Peer, pending: Pending, answer_bytes_max: int
    ) -> Buffers:
        counts = self._asked(pending)
        begun_s = self._now_s()
        try:
            buffers = await self._inner.answer(broker, peer, pending, answer_bytes_max)
        except Exception:
            counts.failures += 1
            raise
        counts.answered(self._now_s() - begun_s, buffers)
        return buffers

    def _begin(self, broker: Broker, peer: Peer, pending: Pending) -> Begun | None:
        begun_s = self._now_s()
        try:
            begun = self._inner.begin(broker, peer, pending)
        except Exception:
            self._asked(pending).failures += 1
            raise
        if begun is None:
            return None
        return _CountedWork(begun, self._asked(pending), begun_s, self._now_s)

    def _asked(self, pending: Pending) -> "_Counts":
        """Count a request; return where what becomes of it is counted."""
        module = pending.api.module
        counts = self._of.get(module)
        if counts is None:
            counts = self._of[module] = _Counts()
        counts.request_bytes += SIZE_BYTES + len(pending.frame)
        return counts

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
