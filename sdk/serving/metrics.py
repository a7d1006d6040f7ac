"""What a scorer counts, in Prometheus' text format; no package is needed where a model's own environment has none."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How many observations fell below each bound, their number and their sum."""

    __slots__ = ("bounds", "count", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value

    def lines(self, name: str, labels: str) -> list[str]:
        """Its samples."""
        below = 0
        lines = []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {below}')
        return [*lines, f"{name}_sum{{{labels}}} {self.total:.9g}", f"{name}_count{{{labels}}} {self.count}"]


class Metrics:
    """Requests by route and status, and how long they took. route: invocations, infer or other."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = {route: Histogram(SECONDS) for route in ("invocations", "infer")}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """One more request was answered."""
        self.requests[route, status] += 1
        if route in self.seconds:
            self.seconds[route].observe(seconds)

    def text(self, model: str, version: str, gauges: dict[str, tuple[str, str, float]]) -> bytes:
        """All of it. gauges: name to (type, help, value) of what is counted elsewhere."""
        labels = f'model="{_escaped(model)}",version="{_escaped(version)}"'
        lines = _head("headrace_scoring_requests_total", "counter", "Requests answered.")
        lines += [
            f'headrace_scoring_requests_total{{{labels},route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self.requests.items())
        ]
        lines += _head("headrace_scoring_seconds", "histogram", "From a request's arrival to its answer.")
        for route, histogram in self.seconds.items():
            lines += histogram.lines("headrace_scoring_seconds", f'{labels},route="{route}"')
        for name, (kind, said, value) in gauges.items():
            lines += [*_head(name, kind, said), f"{name}{{{labels}}} {value:.9g}"]
        return ("\n".join(lines) + "\n").encode()


def _head(name: str, kind: str, said: str) -> list[str]:
    return [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
