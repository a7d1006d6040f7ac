"""Stock integrations, each tried for real: libraries that log through MLflow's client, unmodified, into a fresh server.

Each session of `mlflow_sessions/` asserts what it reads back; here is where it runs: in an environment of its own, made
by uv below `tests/.envs` and kept. What needs PyTorch runs only with HEADRACE_TEST_INTEGRATIONS=1, because its wheel
for Linux brings 2.8 GB of CUDA, 5.9 GB on disk, and cannot be imported without it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.mlflow, pytest.mark.e2e, pytest.mark.timeout(900)]

SESSIONS = Path(__file__).parent / "mlflow_sessions"
ENVIRONMENTS = Path(__file__).parents[1] / ".envs"
SESSION_TIMEOUT_S = 600.0
MLFLOW = "mlflow==3.17.2"


class NotInstalled(Exception):
    """An environment cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a session runs.

    requirements: as uv takes them, pinned. left_out: what they ask for and no session needs.
    """

    name: str
    requirements: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Named for what is in it, so that a changed pin makes another."""
        described = repr((self.requirements, self.left_out, sys.version_info[:2]))
        return ENVIRONMENTS / f"{self.name}-{hashlib.sha256(described.encode()).hexdigest()[:10]}"

    def interpreter(self) -> Path:
        """Its Python, made when it is not there; two test processes make it once. Raises NotInstalled."""
        made = self.folder / "made"
        python = self.folder / "bin" / "python"
        ENVIRONMENTS.mkdir(exist_ok=True)
        with (ENVIRONMENTS / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                self._make(python)
                made.touch()
        return python

    def _make(self, python: Path) -> None:
        uv = shutil.which("uv")
        if uv is None:
            raise NotInstalled(f"{self.name}: uv is not on the path")
        started_s = time.monotonic()
        venv = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(self.folder)]
        overrides = self.folder / "overrides.txt"
        try:
            _run(venv)
            overrides.write_text("".join(f"{one}; sys_platform == 'never'\n" for one in self.left_out))
            install = [uv, "pip", "install", "--quiet", "--python", str(python), "--override", str(overrides)]
            _run([*install, *self.requirements])
        except subprocess.CalledProcessError as error:
            raise NotInstalled(f"{self.name}: {error.stderr.strip()[-500:]}") from error
        print(f"{self.name}: made in {time.monotonic() - started_s:.1f} s")


NCCL = ("nvidia-nccl-cu12", "nvidia-nccl-cu13")
LIGHT = Environment(
    "integrations",
    (
        MLFLOW,
        "matplotlib==3.11.2",
        "xgboost==3.2.0",
        "lightgbm==4.7.0",
        "scikit-learn==1.9.1",
        "optuna==5.0.0",
        "optuna-integration==5.0.0",
        "psutil==7.2.2",
    ),
    left_out=NCCL,
)
MLFLOW_2 = Environment("mlflow2", ("mlflow==2.22.5", "scikit-learn==1.9.1"))
KERAS = Environment("keras", (MLFLOW, "tensorflow-cpu==2.21.0", "keras==3.15.1", "tensorboard"))
TORCH = Environment(
    "torch",
    (
        MLFLOW,
        "torch==2.15.0",
        "pytorch-lightning==2.6.6",
        "transformers==5.23.0",
        "accelerate==1.15.0",
    ),
)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture
def session(server: Any, tmp_path: Path, missing: Callable[[str], None]) -> Callable[[str, Environment], None]:
    """`session(script, environment)`: a script of mlflow_sessions/ against the server; both must be without a fault."""

    def run(script: str, environment: Environment) -> None:
        try:
            python = environment.interpreter()
        except NotInstalled as error:
            missing(str(error))
        folder = tmp_path / "session"
        folder.mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_", "PYTHON", "VIRTUAL_"))}
        told = {
            "MLFLOW_TRACKING_URI": server.url,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # A 5xx is a fault of ours: do not try until it goes away.
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MPLBACKEND": "Agg",
            "OMP_NUM_THREADS": "1",
        }
        started_s = time.monotonic()
        done = subprocess.run(
            [str(python), str(SESSIONS / f"{script}.py")],
            cwd=folder,
            env={**kept, **told},
            capture_output=True,
            text=True,
            timeout=SESSION_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}\nserver: {server.output()[-2000:]}"
        [said] = [line for line in done.stdout.splitlines() if line.startswith('{"ok"')]
        answer = json.loads(said)
        assert answer.pop("ok") is True
        assert "Traceback" not in server.output(), server.output()[-4000:]
        versions = ", ".join(f"{library} {version}" for library, version in answer.items())
        print(f"{script}: {time.monotonic() - started_s:.1f} s with {versions}")

    return run


@pytest.mark.parametrize(
    "script",
    [
        "xgboost_autolog",
        "lightgbm_autolog",
        "sklearn_autolog",
        "models_through_the_proxy",
        "system_metrics",
        "async_logging",
        "optuna_callback",
    ],
)
def test_what_it_logs_is_read_back(session: Callable[[str, Environment], None], script: str) -> None:
    session(script, LIGHT)


def test_keras_and_tensorflow_are_read_back(session: Callable[[str, Environment], None]) -> None:
    session("keras_autolog", KERAS)


def test_a_client_of_mlflow_2_is_served(session: Callable[[str, Environment], None]) -> None:
    session("mlflow2_client", MLFLOW_2)


@pytest.mark.parametrize("script", ["lightning_autolog", "transformers_callback"])
def test_what_trains_with_pytorch_is_read_back(session: Callable[[str, Environment], None], script: str) -> None:
    if os.environ.get("HEADRACE_TEST_INTEGRATIONS") != "1":
        pytest.skip("NOT TESTED HERE: PyTorch is a download of 2.8 GB; asked for with HEADRACE_TEST_INTEGRATIONS=1")
    session(script, TORCH)
