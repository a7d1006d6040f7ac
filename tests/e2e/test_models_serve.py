"""`headrace models serve` as a process: it says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace
import httpx
import pandas as pd
import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("uvicorn")

COMMAND = [sys.executable, "-m", "headrace.sdk.cli.main", "models", "serve"]


def total(model_input: pd.DataFrame) -> list[float]:
    """The sum of each row."""
    return [float(one) for one in model_input.sum(axis=1)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = tmp_path_factory.mktemp("models") / "total"
    signature = headrace.models.infer_signature(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    headrace.pyfunc.save_model(folder, total, signature=signature)
    command = [*COMMAND, "-m", str(folder), "-p", "0", "--no-conda", "--timeout", "30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as it:
        assert it.stdout is not None
        ready = it.stdout.readline()
        try:
            yield it, ready.rstrip().rpartition(" on ")[2]
        finally:
            it.send_signal(signal.SIGTERM)


def test_it_answers_where_it_says_by_curl_and_by_a_client_and_ends_with_code_0(
    served: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = served
    body: dict[str, Any] = {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2], [3, 4]]}}
    by_curl = subprocess.run(["curl", "-sS", url, "-d", json.dumps(body), "-H", "Content-Type:"], capture_output=True)
    assert json.loads(by_curl.stdout) == {"predictions": [3.0, 7.0]}
    with httpx.Client(base_url=url.removesuffix("/invocations")) as client:
        assert client.get("/ping").text == "\n"
        assert client.post("/invocations", content=b"{").json()["error_code"] == "BAD_REQUEST"
        assert client.post("/invocations", json={"inputs": {"a": [1]}}).status_code == 400
        assert 'route="invocations",status="200"} 1' in client.get("/metrics").text
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert Path(f"/proc/{process.pid}").exists() is False


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "-m", str(tmp_path), "-p", "0"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
