from __future__ import annotations

import json
from typing import Any

import headrace
import numpy as np
import pandas as pd
import pytest
from headrace.ingest import events


class MlflowDataset:
    """The part of MLflow's data sets that we use."""

    name, digest = "theirs", "d1"

    def to_dict(self) -> dict[str, str]:
        return {"name": "theirs", "digest": "d1", "source_type": "local", "source": "{}", "schema": "{}"}


def test_data_sets_are_logged_with_context_schema_and_profile(target: Any) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"]})
    with headrace.start_run():
        headrace.log_input(headrace.data.from_pandas(frame, name="mine", source="/data/x.csv"), "training", {"k": 1})
        headrace.log_input(np.ones((3, 2)))
        headrace.log_input(MlflowDataset(), context="test")
    assert headrace.flush(10)
    inputs = [event.datasets[0] for _, event in target.events() if isinstance(event, events.InputsLogged)]
    assert inputs[0].tags == {"k": "1", "mlflow.data.context": "training"}
    assert [c["type"] for c in json.loads(inputs[0].dataset.schema)["mlflow_colspec"]] == ["long", "double", "string"]
    assert json.loads(inputs[0].dataset.profile) == {"num_rows": 2, "num_elements": 6}
    assert json.loads(inputs[1].dataset.profile)["features_shape"] == [3, 2]
    assert (inputs[2].dataset.name, inputs[2].dataset.digest) == ("theirs", "d1")


def test_a_digest_follows_the_content() -> None:
    one = headrace.data.from_pandas(pd.DataFrame({"a": [1, 2]})).digest
    assert one == headrace.data.from_pandas(pd.DataFrame({"a": [1, 2]})).digest
    assert one != headrace.data.from_pandas(pd.DataFrame({"a": [1, 3]})).digest
    assert headrace.data.from_numpy(np.ones(3)).digest != headrace.data.from_numpy(np.zeros(3)).digest


def test_what_is_no_data_set_is_an_error_in_the_log_only(target: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        digest = "x"

    with headrace.start_run():
        headrace.log_input(Broken())
    assert "were not logged" in caplog.text
