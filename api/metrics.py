"""What Prometheus reads of the service itself: its requests, and what waits to be graded."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from judge import StoreError
from judge.store.store import Store

REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)


class Requests:
    """Counts requests by the template of their route: what stands in it is a caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._count = Counter(
            "judge_http_requests", "Requests that were answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "judge_http_request_duration_seconds",
            "Seconds from a request's head to the end of its answer.",
            ("method", "route"),
            buckets=REQUEST_S,
            registry=registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._count.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class Queue(Collector):
    """Runs that are wanted, of all tenants together, looked up in the store when it is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See `prometheus_client`. Nothing where the store does not answer: no figure stands for that."""
        family = GaugeMetricFamily("judge_runs_wanted", "Runs that wait to be graded, or are being graded.")
        try:
            tenants = self._store.ask(self._store.submissions.tenants)
            wanted = sum(one.ask(one.submissions.count) for one in map(self._store.of, tenants))
        except StoreError:
            return
        family.add_metric((), wanted)
        yield family
