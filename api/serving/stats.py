"""What a version on an endpoint has answered: counts and times, cheap enough for every request."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Stats:
    """Of one version on one endpoint, since this server started. On the event loop.

    statuses: answers by HTTP status. buckets: answers that took no longer than BUCKETS_S[i], and longer than the one
    before; the last is for all that took longer. restarts: of its workers. loads: times it was loaded. shadow: copies
    of requests it answered; shadow_failed: not, or with a 5xx; shadow_dropped: that were not sent.
    """

    __slots__ = (
        "buckets",
        "failed_loads",
        "loads",
        "restarts",
        "seconds",
        "shadow",
        "shadow_dropped",
        "shadow_failed",
        "statuses",
    )

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0
        self.restarts = 0
        self.loads = 0
        self.failed_loads = 0
        self.shadow = 0
        self.shadow_failed = 0
        self.shadow_dropped = 0

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    @property
    def requests(self) -> int:
        """All answers."""
        return sum(self.statuses.values())

    @property
    def errors(self) -> int:
        """Answers that say that the server failed."""
        return sum(count for status, count in self.statuses.items() if status >= 500)

    def quantile_s(self, share: float) -> float | None:
        """The time within which this share of all was answered, to the width of a bucket; None for none."""
        total = sum(self.buckets)
        if not total:
            return None
        passed = 0
        for bound, count in zip((*BUCKETS_S, BUCKETS_S[-1]), self.buckets, strict=True):
            passed += count
            if passed >= share * total:
                return bound
        return BUCKETS_S[-1]
