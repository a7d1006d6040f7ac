"""Makes what the serving benchmark scores: `serving_models.py FOLDER`.

Two models in MLflow's format, `lr` and `keras`; for each the request bodies of 1 and of 1,000 rows; and
`in-process.json`, what the same prediction takes without a server, p50 in milliseconds.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headrace.keras
import headrace.pyfunc
import headrace.sklearn
import joblib
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
from headrace.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

CALLS = 100
ROWS = (1, 1000)


def main(folder: Path) -> None:
    """All of it."""
    frame, labels = load_iris(return_X_y=True, as_frame=True)
    times: dict[str, float] = {}
    regression(folder, frame, labels, times)
    network(folder, frame.to_numpy(np.float32), labels.to_numpy(), times)
    (folder / "in-process.json").write_text(json.dumps(times))


def regression(folder: Path, frame: pd.DataFrame, labels: Any, times: dict[str, float]) -> None:
    """The logistic regression, its bodies and times."""
    model = LogisticRegression(max_iter=500).fit(frame, labels)
    headrace.sklearn.save_model(model, folder / "lr", signature=infer_signature(frame, model.predict(frame)))
    joblib.dump(model, folder / "lr.joblib")
    loaded = headrace.pyfunc.load_model(folder / "lr")
    for rows in ROWS:
        many = pd.concat([frame] * (rows // len(frame) + 1), ignore_index=True).head(rows)
        table = pa.Table.from_pandas(many, preserve_index=False)
        body = {"dataframe_split": {"columns": list(many.columns), "data": many.to_numpy().tolist()}}
        (folder / f"lr-{rows}.json").write_text(json.dumps(body))
        (folder / f"lr-{rows}.v2.json").write_text(json.dumps(tensors(many.to_numpy(), "FP64")))
        (folder / f"lr-{rows}.arrow").write_bytes(streamed(table))
        times[f"lr-{rows}"] = timed(lambda many=many: loaded.predict(many))


def network(folder: Path, array: np.ndarray[Any, Any], labels: Any, times: dict[str, float]) -> None:
    """The small network, its bodies and times."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10, "relu"), keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(array, labels, epochs=2, verbose=0)
    headrace.keras.save_model(model, folder / "keras", signature=infer_signature(array, model(array).numpy()))
    loaded = headrace.pyfunc.load_model(folder / "keras")
    for rows in ROWS:
        many = np.concatenate([array] * (rows // len(array) + 1))[:rows]
        (folder / f"keras-{rows}.json").write_text(json.dumps({"inputs": many.tolist()}))
        times[f"keras-{rows}"] = timed(lambda many=many: loaded.predict(many))


def tensors(array: np.ndarray[Any, Any], datatype: str) -> dict[str, Any]:
    """An inference request of one tensor."""
    said = {"name": "predict", "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
    return {"inputs": [said], "outputs": [{"name": "predict"}]}


def streamed(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def timed(call: Callable[[], Any]) -> float:
    """The median of CALLS calls, milliseconds."""
    call()
    taken = []
    for _ in range(CALLS):
        started_s = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(taken)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
