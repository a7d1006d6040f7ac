"""Artifacts in a real server of S3's protocol: the stock MLflow client, large files, and what goes wrong."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

pytestmark = pytest.mark.e2e
SESSION = Path(__file__).parent / "mlflow_sessions" / "artifacts_session.py"
ENVIRONMENT = Path(__file__).parents[1] / ".envs" / "mlflow-skinny-3.17.2"
MIB = 1024 * 1024


@pytest.fixture
def bucket(s3: Any) -> str:
    name: str = s3.bucket(f"b-{os.urandom(6).hex()}")
    return name


@pytest.fixture
def s3_server(new_server: Callable[..., Any], s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a server on the bucket: `s3_server(direct="yes")`."""
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)

    def start(direct: str) -> Any:
        return new_server(artifacts=f"s3://{bucket}/team?endpoint={s3.url}&direct={direct}").start()

    return start


@pytest.fixture
def mlflow_python(missing: Callable[[str], None]) -> Path:
    """The Python of an environment with the stock client; made at the first need and kept."""
    python = ENVIRONMENT / "bin" / "python"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "artifacts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two test processes one makes it
        if python.exists() and subprocess.run([python, "-c", "import mlflow"], check=False).returncode == 0:
            return python
        uv = shutil.which("uv") or "uv"
        packages = ["pip", "install", "--python", str(python), "mlflow-skinny==3.17.2"]
        for arguments in (["venv", "--clear", str(ENVIRONMENT)], packages):
            try:
                subprocess.run([uv, *arguments], capture_output=True, text=True, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                missing(f"the stock MLflow client is installed by uv: {error}: {getattr(error, 'stderr', '')}")
    return python


@pytest.mark.mlflow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("direct", ["yes", "no"])
def test_the_stock_client_stores_and_reads_files_whole_and_in_parts(
    s3_server: Any, s3: Any, bucket: str, direct: str, tmp_path: Path, mlflow_python: Path
) -> None:
    server = s3_server(direct)
    before = len(s3.requests())
    home = tmp_path / "client"
    home.mkdir()
    changes = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(16 * MIB),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(10 * MIB),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    memory = Memory(server.pid)
    done = subprocess.run(
        [mlflow_python, SESSION, "64"],
        cwd=home,
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert memory.grown() < 150 * MIB
    asked = [line for line in s3.requests()[before:].splitlines() if f"/{bucket}/" in line]
    parts = [line for line in asked if "partNumber=" in line]
    assert len(parts) == 7
    assert all("X-Amz-Signature" in line and " 200 " in line for line in parts)
    lifetime = "X-Amz-Expires=86400" if direct == "yes" else "X-Amz-Expires=900"
    assert all(lifetime in line for line in parts), "the parts have to come from the client or from us"
    reads = [line for line in asked if "GET" in line and "large" in line]
    assert all(("X-Amz-Signature" in line) == (direct == "yes") for line in reads)
    assert reads
    assert not (server.data_dir / "artifacts").exists()
    assert s3.uploads(bucket) == 0


class Memory:
    """The memory of a process, watched; bytes."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._first = self._most = self._process.memory_info().rss
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)
        self._watch.start()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            self._most = max(self._most, self._process.memory_info().rss)

    def grown(self) -> int:
        """The most it had over what it had first; ends the watch."""
        self._ended.set()
        self._watch.join()
        grown: int = self._most - self._first
        return grown


def run_of(server: Any) -> str:
    made = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})
    run_id: str = made["run"]["info"]["run_id"]
    return run_id


def test_a_large_file_passes_through_with_flat_memory_and_its_hash(s3_server: Any, s3: Any, bucket: str) -> None:
    server = s3_server("no")
    run_id = run_of(server)
    block, count = os.urandom(MIB), 256
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for number in range(count):
            data = number.to_bytes(8, "big") + block
            digest.update(data)
            yield data

    server.request("PUT", f"/api/headrace/v1/runs/{run_id}/artifacts/warm", content=os.urandom(20 * MIB))
    memory = Memory(server.pid)
    stored = server.request("PUT", f"/api/headrace/v1/runs/{run_id}/artifacts/big.bin", content=blocks())
    assert stored.json() == {"size": count * (MIB + 8), "sha256": digest.hexdigest()}
    read = hashlib.sha256()
    with httpx.stream("GET", f"{server.url}/api/headrace/v1/runs/{run_id}/artifacts/big.bin", timeout=60) as answer:
        for chunk in answer.iter_bytes():
            read.update(chunk)
    assert read.hexdigest() == digest.hexdigest()
    assert memory.grown() < 100 * MIB


def test_a_client_that_hangs_up_leaves_nothing(s3_server: Any, s3: Any, bucket: str, eventually: Any) -> None:
    server = s3_server("no")
    path = "/api/2.0/mlflow-artifacts/artifacts/0/gone.bin"
    before = len(s3.requests())
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
        client.sendall(bytes(24 * MIB))
        eventually(lambda: "partNumber=1" in s3.requests()[before:])
    eventually(lambda: s3.uploads(bucket) == 0)
    assert server.get("/api/2.0/mlflow-artifacts/artifacts?path=0") == {}
    assert "Traceback" not in server.output()


def started(tmp_path: Path, artifacts: str, **environ: str) -> tuple[int, str]:
    """Exit code and stderr of a server that cannot start."""
    command = [sys.executable, "-m", "headrace.api.main", "--data-dir", str(tmp_path / "d"), "--port", "0"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "AWS_"))}
    done = subprocess.run(
        [*command, "--artifacts", artifacts],
        env={**kept, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("artifacts", "said"),
    [
        ("s3://no-such-bucket?endpoint={url}", "NoSuchBucket: The specified bucket does not exist"),
        ("s3://bucket?endpoint=http://127.0.0.1:1", "http://127.0.0.1:1: connection refused"),
        ("s3://bucket?endpiont={url}", "no option 'endpiont'; known are endpoint, public_endpoint, region, direct"),
        ("s3:///x", "it names no bucket"),
        ("ftp://x/y", "it has to be s3://bucket/prefix"),
        ("file:///proc/nothing", "cannot keep artifacts in /proc/nothing"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_at_the_start(
    s3: Any, tmp_path: Path, artifacts: str, said: str
) -> None:
    code, err = started(tmp_path, artifacts.format(url=s3.url), **s3.environ)
    assert code == 1
    assert err.startswith("headrace: ")
    assert said in err
    assert err.count("\n") == 1


def test_wrong_credentials_are_one_line_at_the_start(new_s3: Callable[..., Any], tmp_path: Path) -> None:
    strict = new_s3(INITIAL_NO_AUTH_ACTION_COUNT="1")
    strict.bucket("guarded")
    code, err = started(tmp_path, f"s3://guarded?endpoint={strict.url}", **strict.environ)
    assert code == 1
    assert "InvalidAccessKeyId" in err
    assert err.count("\n") == 1


def test_while_the_store_is_down_artifacts_answer_503_and_the_rest_goes_on(
    new_s3: Callable[..., Any], new_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = new_s3()
    bucket = s3.bucket("falling")
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    server = new_server(artifacts=f"s3://{bucket}?endpoint={s3.url}&direct=yes").start()
    run_id = run_of(server)
    below = f"/api/headrace/v1/runs/{run_id}/artifacts"
    assert server.request("PUT", f"{below}/f", content=b"1").status_code == 200
    s3.stop()
    create = f"/api/2.0/mlflow-artifacts/mpu/create/0/{run_id}/artifacts"
    for answer in (
        server.request("PUT", f"{below}/small", content=b"1"),
        server.request("PUT", f"{below}/large", content=bytes(20 * MIB)),
        server.request("GET", f"{below}/f"),
        server.request("GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run_id}),
        server.request("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/f"),
        server.request("POST", create, json={"path": "f", "num_parts": 2}),
    ):
        assert answer.status_code == 503, answer.text
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert "artifact store" in answer.json()["message"]
    server.post("/api/2.0/mlflow/runs/log-parameter", {"run_id": run_id, "key": "p", "value": "1"})
    assert server.run(run_id)["params"] == {"p": "1"}
    assert "Traceback" not in server.output()
