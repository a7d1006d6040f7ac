"""Points without pyarrow say the same as points with it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from headrace.ingest import packed_points, points
from headrace.ingest.codec import Malformed

COLUMNS: dict[str, list[Any]] = {
    "key": ["a", "ü/b"],
    "step": [-(2**63), 2**63 - 1],
    "timestamp_ms": [0, 1_700_000_000_000],
    "value": [math.inf, 1],
}


def test_packed_points_are_read_as_a_table() -> None:
    table = points.decode(packed_points.encode({**COLUMNS, "model_id": ["m", "m"]}))
    assert table.to_pydict() == {**COLUMNS, "value": [math.inf, 1.0], "model_id": ["m", "m"]}
    assert table.column("step").type == points.REQUIRED["step"]


def test_nan_is_kept() -> None:
    packed = packed_points.encode({"key": ["a"], "step": [0], "timestamp_ms": [0], "value": [math.nan]})
    assert math.isnan(points.decode(packed).column("value")[0].as_py())


@pytest.mark.parametrize("step", [2**63, "1", 1.5])
def test_a_step_that_is_no_int64_is_not_packed(step: object) -> None:
    with pytest.raises((OverflowError, TypeError)):
        packed_points.encode({**COLUMNS, "step": [step, 0]})


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x84\xa3key",
        packed_points.encode({**COLUMNS, "key": ["a"]}),
        packed_points.encode({**COLUMNS, "model_id": ["m"]}),
    ],
)
def test_what_is_no_table_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        points.decode(data)
