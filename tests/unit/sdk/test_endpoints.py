"""What the SDK sends to an endpoint."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace.sdk.endpoints import body_of


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ([[1, 2]], {"inputs": [[1, 2]]}),
        (np.array([[1.5, 2]]), {"inputs": [[1.5, 2.0]]}),
        ({"a": np.arange(2), "b": ["x", "y"]}, {"inputs": {"a": [0, 1], "b": ["x", "y"]}}),
        (
            pd.DataFrame({"a": [1.0, None]}),
            {"dataframe_split": {"columns": ["a"], "index": [0, 1], "data": [[1.0], [None]]}},
        ),
    ],
)
def test_data_are_sent_in_mlflows_protocol(data: Any, body: dict[str, Any]) -> None:
    assert json.loads(body_of(data)) == body
    assert json.loads(body_of(data, {"k": 1})) == {**body, "params": {"k": 1}}


def test_what_json_has_nothing_for_is_named() -> None:
    with pytest.raises(TypeError, match="a date cannot be sent as JSON"):
        body_of([date(2026, 1, 1)])
