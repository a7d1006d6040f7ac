"""The Open Inference Protocol as its own client speaks it: tritonclient against `headrace models serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from headrace.models import infer_signature
from headrace.pyfunc import save_model

from tests.environments import environment
from tests.missing import report as missing_here

pytestmark = pytest.mark.e2e
pytest.importorskip("uvicorn")

SERVE = [
    sys.executable,
    "-m",
    "headrace.sdk.cli.main",
    "models",
    "serve",
    "-p",
    "0",
    "--name",
    "echo",
    "--version",
    "4",
]
CLIENT = r"""
import json, sys
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

client = triton.InferenceServerClient(sys.argv[1])
said = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model ready": client.is_model_ready("echo", "4"),
    "other ready": client.is_model_ready("other"),
    "server": client.get_server_metadata()["extensions"],
    "inputs": [one["datatype"] for one in client.get_model_metadata("echo", "4")["inputs"]],
}

def infer(columns, binary_in, binary_out, **more):
    inputs = []
    for name, array in columns.items():
        one = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        one.set_data_from_numpy(array, binary_data=binary_in)
        inputs.append(one)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in columns]
    return client.infer("echo", inputs, outputs=outputs, **more)

columns = {
    "n": np.array([1, -2], dtype=np.int64),
    "x": np.array([0.5, 1.5], dtype=np.float64),
    "f": np.array([0.25, 2], dtype=np.float32),
    "b": np.array([True, False]),
    "s": np.array(["ü".encode(), b"y"], dtype=object),
}
for binary_in in (True, False):
    for binary_out in (True, False):
        answer = infer(columns, binary_in, binary_out, request_id="7", model_version="4")
        for name, array in columns.items():
            back = answer.as_numpy(name)
            back = np.array([item.encode() if isinstance(item, str) else item for item in back], dtype=array.dtype)
            assert (back == array).all(), (name, back, binary_in, binary_out)
            assert back.dtype == array.dtype
        assert answer.get_response()["id"] == "7"
half = columns | {"f": np.array([0.25, 2], dtype=np.float16)}
assert (infer(half, True, True).as_numpy("f") == half["f"]).all()
for compression in ("gzip", "deflate"):
    infer(columns, True, True, request_compression_algorithm=compression, response_compression_algorithm=compression)
try:
    infer({name: columns[name] for name in ("n", "x")}, True, True)
except InferenceServerException as error:
    said["missing"] = error.message()
print(json.dumps(said))
"""


MODEL = """
from headrace.models import set_model
from headrace.pyfunc import PythonModel


class Same(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


set_model(Same())
"""


def test_tritonclient_speaks_with_it_in_json_and_binary_both_ways(tmp_path: Path) -> None:
    python = environment("tritonclient", ("tritonclient[http]==2.73.0",), missing_here)
    frame = pd.DataFrame({"n": [1], "x": [0.5], "f": [0.5], "b": [True], "s": ["x"]}).astype({"f": "float32"})
    (tmp_path / "same.py").write_text(MODEL)
    save_model(tmp_path / "echo", str(tmp_path / "same.py"), signature=infer_signature(frame))
    command = [*SERVE, "-m", str(tmp_path / "echo")]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().rpartition("http://")[2].partition("/")[0]
            done = subprocess.run([str(python), "-c", CLIENT, address], capture_output=True, text=True, timeout=120)
        finally:
            server.send_signal(signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert "missing" in said.pop("missing")
    assert said == {
        "live": True,
        "ready": True,
        "model ready": True,
        "other ready": False,
        "server": ["binary_tensor_data"],
        "inputs": ["INT64", "FP64", "FP32", "BOOL", "BYTES"],
    }
