"""Prometheus metrics of folds and views: the same for a server and for a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from headrace.ingest.log import Log, LogUnavailable, Partition
from headrace.processors.counters import Counters
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_COUNTED = (
    ("events", "Events folded since the start."),
    ("points", "Metric points folded since the start."),
    ("duplicates", "Events dropped because their writer had sent them before."),
    ("missed", "Events that writers sent and that never came: gaps in their sequences."),
    ("rejected", "Events set aside in the dead letters."),
    ("refused", "Events a rule refused, such as a changed param."),
)


class Folds(Protocol):
    """What is measured."""

    @property
    def counters(self) -> Counters:
        """What was folded."""
        ...

    @property
    def fault(self) -> str | None:
        """What it waits for, or None."""
        ...

    def stages(self) -> Mapping[str, Mapping[Partition, int]]:
        """How far each stage has come, an offset a partition; `viewed` among them."""
        ...


class FoldMetrics(Collector):
    """Reads the folds, and asks the log how far it goes, whenever it is scraped."""

    def __init__(self, log: Log, folds: Folds) -> None:
        self._log = log
        self._folds = folds

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        for name, help_text in _COUNTED:
            yield CounterMetricFamily(f"headrace_{name}", help_text, value=getattr(self._folds.counters, name))
        stages = {stage: dict(offsets) for stage, offsets in self._folds.stages().items()}
        fault = self._folds.fault
        try:
            ends = self._log.end()
        except LogUnavailable as error:
            ends, fault = {}, str(error)
        viewed = stages["viewed"]
        offset = GaugeMetricFamily("headrace_offset", "Offset to read next.", labels=("topic", "partition", "stage"))
        lag = GaugeMetricFamily(
            "headrace_lag", "Events in the log that the views do not hold yet.", labels=("topic", "partition")
        )
        for stage, offsets in {"log": ends, **stages}.items():
            for partition, value in offsets.items():
                if stage != "log" or partition in viewed:
                    offset.add_metric((partition.topic, str(partition.partition), stage), value)
        for partition, value in viewed.items():
            if partition in ends:
                lag.add_metric((partition.topic, str(partition.partition)), max(0, ends[partition] - value))
        yield offset
        yield lag
        standing = GaugeMetricFamily("headrace_views_fault", "1 while folding or storing waits or has ended, else 0.")
        standing.add_metric((), fault is not None)
        yield standing
