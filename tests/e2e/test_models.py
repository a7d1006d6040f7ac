"""Models logged to a real server load by every URI that names them, through a cache that checks their digests."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace
import numpy as np
import pandas as pd
import pytest
from headrace.models import ModelInfo, NoModel, WrongDigest
from headrace.sdk import fluent
from headrace.sdk.process import process
from headrace.sdk.reader import ReadFailed
from sklearn.linear_model import LinearRegression

from tests.e2e.conftest import Server, eventually_of
from tests.environments import MLFLOW_3, environment
from tests.missing import report

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

V2 = "/api/2.0/mlflow"
DATA = np.arange(6.0).reshape(3, 2)


def estimator(slope: float) -> LinearRegression:
    return LinearRegression().fit(DATA, DATA[:, 0] * slope)


class Shop:
    """A server with two versions of a registered model, logged by this process."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.cache = folder / "cache"
        fluent.init(
            server.url, spool_dir=str(folder / "spool"), model_cache_dir=str(self.cache), record_environment=False
        )
        self.models: list[ModelInfo] = []
        for slope in (1.0, 2.0):
            with headrace.start_run():
                self.models.append(
                    headrace.sklearn.log_model(
                        estimator(slope), name="line", input_example=DATA, registered_model_name="Line"
                    )
                )
        assert headrace.flush(60)

    def version(self, number: int) -> dict[str, Any]:
        params = {"name": "Line", "version": str(number)}
        found: dict[str, Any] = self.server.get(f"{V2}/model-versions/get", **params)["model_version"]
        return found

    def slope(self, uri: str) -> float:
        return round(float(headrace.sklearn.load_model(uri).coef_.sum() * 1.0), 6)

    def files(self, number: int) -> Path:
        return next(self.server.data_dir.glob(f"artifacts/*/models/{self.models[number - 1].model_id}/artifacts"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    server = Server(folder / "data").start()
    with contextlib.closing(server):
        made = Shop(server, folder)
        eventually_of(lambda: all(made.version(number)["status"] == "READY" for number in (1, 2)), 60)
        yield made
        process.close()


def test_a_model_is_found_by_each_of_its_names(shop: Shop) -> None:
    shop.server.post(f"{V2}/registered-models/alias", {"name": "Line", "alias": "champion", "version": "1"})
    stage = {"name": "Line", "version": "2", "stage": "Production", "archive_existing_versions": False}
    shop.server.post(f"{V2}/model-versions/transition-stage", stage)
    first, second = shop.models

    for uri, slope in (
        (first.model_uri, 1.0),
        (f"runs:/{second.run_id}/line", 2.0),
        ("models:/Line/1", 1.0),
        ("models:/Line/2", 2.0),
        ("models:/Line@champion", 1.0),
        ("models:/Line/Production", 2.0),
        ("models:/Line/latest", 2.0),
        (
            f"{shop.server.url}/api/2.0/mlflow-artifacts/artifacts/0/models/{first.model_id}/artifacts",
            1.0,
        ),
    ):
        assert shop.slope(uri) == slope, uri


def test_the_server_took_the_digest_that_the_trainer_told(shop: Shop) -> None:
    assert shop.version(1)["headrace"]["digest"] == shop.models[0].digest
    assert shop.version(1)["run_id"] == shop.models[0].run_id
    info = headrace.models.get_model_info("models:/Line/1")
    assert (info.digest, info.registered_model_name, info.registered_model_version) == (
        shop.models[0].digest,
        "Line",
        1,
    )
    assert info.signature == shop.models[0].signature


def test_what_was_downloaded_is_not_downloaded_again(shop: Shop) -> None:
    before = headrace.pyfunc.load_model("models:/Line/1").folder
    assert before == shop.cache / shop.models[0].digest
    inode = (before / "MLmodel").stat().st_ino
    assert headrace.pyfunc.load_model("models:/Line/1").folder == before
    assert (before / "MLmodel").stat().st_ino == inode


def test_files_that_were_changed_after_they_were_registered_are_not_loaded(shop: Shop) -> None:
    requirements = shop.files(2) / "requirements.txt"
    kept = requirements.read_bytes()
    requirements.write_bytes(kept + b"evil\n")
    fluent.init(model_cache_dir=str(shop.cache / "anew"))
    try:
        with pytest.raises(WrongDigest, match=f"version 2 of Line .* {shop.models[1].digest} was registered"):
            headrace.pyfunc.load_model("models:/Line/2")
        with pytest.raises(WrongDigest):
            headrace.pyfunc.load_model(shop.models[1].model_uri)
    finally:
        requirements.write_bytes(kept)
        fluent.init(model_cache_dir=str(shop.cache))
    assert headrace.pyfunc.load_model("models:/Line/2").predict(DATA) == pytest.approx(DATA[:, 0] * 2)


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("models:/Line/9", ReadFailed, "Line"),
        ("models:/Nothing/1", ReadFailed, "Nothing"),
        ("models:/Line@nobody", ReadFailed, "nobody"),
        ("models:/Line/Staging", NoModel, "has no version in Staging"),
        ("models:/Line", NoModel, "no URI of a model"),
        ("models:/m-" + "0" * 32, ReadFailed, "m-000"),
        ("runs:/nothing", NoModel, "no URI of a run's model"),
        ("ftp://host/path", NoModel, "names no place"),
    ],
)
def test_a_uri_that_names_nothing_is_told_so(shop: Shop, uri: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        headrace.pyfunc.load_model(uri)


def test_an_artifact_that_an_older_client_logged_as_a_model_loads_from_its_run(shop: Shop, tmp_path: Path) -> None:
    headrace.sklearn.save_model(estimator(3.0), tmp_path / "model")
    with headrace.start_run() as run:
        headrace.log_artifacts(str(tmp_path / "model"), "old/model")
    assert headrace.flush(60)

    assert shop.slope(f"runs:/{run.info.run_id}/old/model") == 3.0


STOCK = """
import sys, mlflow, numpy, pandas
mlflow.set_tracking_uri(sys.argv[1])
data = numpy.arange(6.0).reshape(3, 2)
for name, asked in {"class": {"x": [1.0, 2.0]}, "function": {"x": [1.0, 2.0]}, "texts": ["a"]}.items():
    model = mlflow.pyfunc.load_model(f"{sys.argv[2]}/{name}")
    print(name, list(model.predict(pandas.DataFrame(asked) if isinstance(asked, dict) else asked)))
for uri in sys.argv[3:]:
    model = mlflow.pyfunc.load_model(uri)
    print(uri, model.predict(data).round(6).tolist(), model.metadata.run_id, mlflow.sklearn.load_model(uri).coef_.shape)
"""


def save_python_models(folder: Path) -> None:
    """Python models of a class and of functions that nobody can import."""

    class Scaled(headrace.pyfunc.PythonModel):  # type: ignore[misc]
        def load_context(self, context: Any) -> None:
            self.by = float(Path(context.artifacts["by"]).read_text())

        def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
            return model_input["x"] * self.by + (params or {})["n"]

    def texts(rows: list[str]) -> list[str]:
        return [one.upper() for one in rows]

    (folder / "by.txt").write_text("2")
    signature = headrace.models.infer_signature(pd.DataFrame({"x": [1.0]}), params={"n": 10})
    headrace.pyfunc.save_model(
        folder / "class", Scaled(), artifacts={"by": str(folder / "by.txt")}, signature=signature
    )
    headrace.pyfunc.save_model(folder / "function", lambda rows: rows["x"] * 3)
    headrace.pyfunc.save_model(folder / "texts", texts)


@pytest.mark.mlflow
def test_stock_mlflow_loads_what_we_saved_and_what_we_logged_by_its_own_client(shop: Shop, tmp_path: Path) -> None:
    save_python_models(tmp_path)
    first = shop.models[0]
    uris = [first.model_uri, f"runs:/{first.run_id}/line", "models:/Line/1"]
    python = environment("mlflow-3.17.2", MLFLOW_3, report)
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HEADRACE_", "PYTHON"))
    }
    done = subprocess.run(
        [str(python), "-c", STOCK, shop.server.url, str(tmp_path), *uris],
        capture_output=True, text=True, check=False, timeout=300, cwd=shop.cache,
        env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    of_python = ["class [12.0, 14.0]", "function [3.0, 6.0]", "texts ['A']"]
    assert done.stdout.splitlines() == of_python + [f"{uri} [0.0, 2.0, 4.0] {first.run_id} (2,)" for uri in uris]
