"""Series are the same on every engine, and whether their points are put in buckets in memory or by the engine."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pyarrow as pa
from headrace.api.points import Points
from headrace.api.series import Source
from headrace.api.series_points import Wanted
from headrace.processors.views import Views

SPECIAL = [math.nan, math.inf, -math.inf, -0.0, 0.0]


def test_the_engine_makes_the_buckets_that_memory_does(views: Views) -> None:
    rng = np.random.default_rng(11)
    n = 4000
    values = rng.normal(size=n)
    values[rng.integers(0, n, 500)] = rng.choice(SPECIAL, 500)
    columns = {
        "run_id": [f"r'{i}" for i in rng.integers(0, 3, n)],
        "key": [f"k{i}" for i in rng.integers(0, 4, n)],
        "step": rng.choice([-(2**63), 2**63 - 1, *range(-300, 300)], n),
        "timestamp_ms": rng.integers(0, 5, n),
        "value": values,
        "writer": rng.choice(["", "w"], n),
    }
    views.insert("metrics", pa.table(columns))
    wanted = Wanted(Points(["r'2", "none", "r'0"], ["k3", "k0", "none"]), "step")
    held, asked = Source(views, wanted), Source(views, wanted, 10)
    for cells in (2, 70, 2000):
        here, there = held.buckets(cells), asked.buckets(cells)
        assert len(here) > 4
        for field in dataclasses.fields(here):
            a, b = getattr(here, field.name), getattr(there, field.name)
            assert np.array_equal(a, b, equal_nan=a.dtype == np.float64), field.name
        assert np.array_equal(np.signbit(here.first), np.signbit(there.first)), "-0 comes before 0 in both"
