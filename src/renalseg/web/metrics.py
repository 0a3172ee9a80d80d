"""What Prometheus may ask: counts and times, nothing of any person."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from renalseg.web.study import State

#: Says how many studies are in each state.
Counts = Callable[[], Mapping[State, int]]
_JOB_SECONDS = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The server's own counters, apart from those of other libraries."""

    def __init__(self, counts: Counts) -> None:
        """Begin to count.

        Args:
            counts: Says how many studies are in each state.
        """
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Studies(counts))
        self._jobs = Histogram(
            "renalseg_job_seconds",
            "Time of one study, from reading to writing",
            ["outcome", "profile"],
            buckets=_JOB_SECONDS,
            registry=self._registry,
        )
        self._requests = Histogram(
            "renalseg_request_seconds",
            "Time to the end of an answer",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._received = Counter(
            "renalseg_received_bytes", "Bytes of scans and masks", registry=self._registry
        )

    def job(self, outcome: str, profile: str, seconds: float) -> None:
        """A study's work has ended."""
        self._jobs.labels(outcome, profile).observe(seconds)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; its route is the pattern, without identifiers."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def received(self, count: int) -> None:
        """So many bytes have come."""
        self._received.inc(count)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)


class _Studies(Collector):
    """Studies by state, counted when they are asked for."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily("renalseg_studies", "Studies by state", labels=["state"])
        for state, count in self._counts().items():
            family.add_metric([str(state)], count)
        return [family]
