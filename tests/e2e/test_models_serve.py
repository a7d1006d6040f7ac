"""`headrace models serve` as a process: it says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from headrace.models import infer_signature
from headrace.pyfunc import save_model
from headrace.sdk.serving.batching import Limits

pytestmark = pytest.mark.e2e
pytest.importorskip("uvicorn")

COMMAND = [sys.executable, "-m", "headrace.sdk.cli.main", "models", "serve"]


MODEL = """
from headrace.models import set_model
from headrace.pyfunc import PythonModel


class Total(PythonModel):
    def predict(self, context, model_input, params=None):
        return [float(one) for one in model_input.sum(axis=1)]


set_model(Total())
"""


def saved(folder: Path) -> Path:
    """A model that sums rows of a and b, in a folder of its own."""
    source = folder / "total.py"
    source.write_text(MODEL)
    signature = infer_signature(pd.DataFrame({"a": [1.0], "b": [2.0]}))
    save_model(folder / "total", str(source), signature=signature)
    return folder / "total"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = saved(tmp_path_factory.mktemp("models"))
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


def test_a_model_in_a_process_of_its_own_answers_again_after_that_was_killed(tmp_path: Path) -> None:
    apart = pytest.importorskip("headrace.api.serving.apart")
    folder = saved(tmp_path)

    async def killed_in_between() -> list[int]:
        scorer = apart.ScorerApart(folder, "total", "1", Limits(), tmp_path, environment="server")
        body = b'{"dataframe_records": [{"a": 1, "b": 2}]}'
        statuses = []
        await scorer.start()
        try:
            first = scorer.pid
            statuses.append((await scorer.answer("POST", "/invocations", {}, body)).status)
            os.kill(first, signal.SIGKILL)
            async with asyncio.timeout(120):
                while scorer.pid in (0, first):
                    await asyncio.sleep(0.01)
            statuses.append((await scorer.answer("GET", "/v2/models/total/ready", {}, b"")).status)
        finally:
            await scorer.stop()
        statuses.append((await scorer.answer("GET", "/ping", {}, b"")).status)
        return statuses

    assert asyncio.run(killed_in_between()) == [200, 200, 503]
