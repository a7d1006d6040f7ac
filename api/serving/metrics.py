"""Prometheus metrics of endpoints, by endpoint and version, read whenever they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.api.serving.fleet import Fleet
from headrace.api.serving.stats import BUCKETS_S
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_LABELS = ("endpoint", "version")
_COUNTED = (
    ("restarts", "Workers that ended unasked."),
    ("loads", "Times a version was loaded."),
    ("failed_loads", "Times a version did not load."),
    ("shadow", "Copies of requests that were answered."),
    ("shadow_failed", "Copies of requests that were not answered, or with a status of 500 or more."),
    ("shadow_dropped", "Copies of requests that were not sent, since too many were under way."),
)


class EndpointMetrics(Collector):
    """Of all endpoints of a server."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        stats = [
            (name, label, counted)
            for name, endpoint in list(self._fleet.endpoints.items())
            for label, counted in list(endpoint.stats.items())
        ]
        requests = CounterMetricFamily(
            "headrace_endpoint_requests", "Answers of endpoints.", labels=(*_LABELS, "status")
        )
        seconds = HistogramMetricFamily("headrace_endpoint_seconds", "Time to answer, seconds.", labels=_LABELS)
        for name, label, counted in stats:
            for status, count in list(counted.statuses.items()):
                requests.add_metric((name, label, str(status)), count)
            total = 0
            buckets = []
            for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), list(counted.buckets), strict=True):
                total += count
                buckets.append((bound, total))
            seconds.add_metric((name, label), buckets, counted.seconds)
        yield requests
        yield seconds
        for field, help_text in _COUNTED:
            family = CounterMetricFamily(f"headrace_endpoint_{field}", help_text, labels=_LABELS)
            for name, label, counted in stats:
                family.add_metric((name, label), getattr(counted, field))
            yield family
        yield from self._gauges()
        logged = CounterMetricFamily("headrace_endpoint_predictions_logged", "Predictions that went to the log.")
        logged.add_metric((), self._fleet.predictions.logged)
        yield logged
        dropped = CounterMetricFamily(
            "headrace_endpoint_predictions_dropped", "Predictions that were sampled and found no room or no log."
        )
        dropped.add_metric((), self._fleet.predictions.dropped)
        yield dropped

    def _gauges(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("headrace_endpoint_in_flight", "Requests not yet answered.", labels=_LABELS)
        workers = GaugeMetricFamily("headrace_endpoint_workers", "Workers that take requests.", labels=_LABELS)
        memory = GaugeMetricFamily("headrace_endpoint_memory_bytes", "Resident memory of workers.", labels=_LABELS)
        ready = GaugeMetricFamily(
            "headrace_endpoint_ready", "1 where every model that an endpoint names serves.", labels=("endpoint",)
        )
        for name, endpoint in list(self._fleet.endpoints.items()):
            slots = list(endpoint.slots.values())
            ready.add_metric((name,), float(bool(slots) and all(x.current is not None and not x.fault for x in slots)))
            for served in endpoint.serveds:
                labels = (name, served.version.label)
                waiting.add_metric(labels, served.in_flight)
                workers.add_metric(labels, sum(one.serving for one in served.workers))
                memory.add_metric(labels, sum(one.rss_bytes for one in served.workers))
        yield from (waiting, workers, memory, ready)
