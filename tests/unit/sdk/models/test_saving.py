"""A model that is saved is loaded again as it was, by its flavor and by pyfunc."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import headrace
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from headrace.models import Metadata, NoModel, infer_signature
from headrace.pyfunc import PythonModel, PythonModelContext
from headrace.sdk.process import process
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, list[int]]:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(40, 3)), columns=["a", "b", "c"])
    return frame, [int(one) for one in frame["a"] + frame["b"] > 0]


@pytest.fixture(scope="module")
def estimator(data: tuple[pd.DataFrame, list[int]]) -> LogisticRegression:
    return LogisticRegression().fit(*data)


def test_an_estimator_comes_back_natively_and_by_pyfunc(
    tmp_path: Path, data: tuple[pd.DataFrame, list[int]], estimator: LogisticRegression
) -> None:
    headrace.sklearn.save_model(estimator, tmp_path / "model", input_example=data[0].head(2))

    assert (headrace.sklearn.load_model(tmp_path / "model").coef_ == estimator.coef_).all()
    loaded = headrace.pyfunc.load_model(tmp_path / "model")
    assert (loaded.predict(data[0]) == estimator.predict(data[0])).all()
    assert (loaded.predict_proba(data[0]) == estimator.predict_proba(data[0])).all()
    assert loaded.get_raw_model().n_features_in_ == 3
    pd.testing.assert_frame_equal(loaded.input_example, data[0].head(2))


def test_the_file_says_all_that_mlflow_says(
    tmp_path: Path, data: tuple[pd.DataFrame, list[int]], estimator: LogisticRegression
) -> None:
    headrace.models.save_model(estimator, tmp_path / "model", input_example=data[0].head(2))

    said = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    assert set(said) == {
        "artifact_path", "flavors", "is_signature_from_type_hint", "metadata", "mlflow_version", "model_id",
        "model_size_bytes", "model_uuid", "prompts", "run_id", "saved_input_example_info", "signature",
        "type_hint_from_example", "utc_time_created",
    }  # fmt: skip
    assert said["flavors"]["python_function"] == {
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.sklearn",
        "model_path": "model.pkl",
        "predict_fn": "predict",
        "python_version": said["flavors"]["python_function"]["python_version"],
    }
    assert said["signature"]["inputs"] == (
        '[{"type": "double", "name": "a", "required": true}, {"type": "double", "name": "b", "required": true},'
        ' {"type": "double", "name": "c", "required": true}]'
    )
    assert said["signature"]["outputs"] == '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
    assert said["metadata"]["headrace"]["version"] == headrace.__version__
    assert Metadata.read(tmp_path / "model").to_dict() == said


def test_an_arrow_table_is_taken_as_its_frame(
    tmp_path: Path, data: tuple[pd.DataFrame, list[int]], estimator: LogisticRegression
) -> None:
    headrace.models.save_model(estimator, tmp_path / "model", input_example=data[0].head(2))
    loaded = headrace.pyfunc.load_model(tmp_path / "model")
    table = pa.Table.from_pandas(data[0])
    assert (loaded.predict(table) == estimator.predict(data[0])).all()
    assert (loaded.predict(table.to_batches()[0]) == estimator.predict(data[0])).all()


def test_its_requirements_are_pins_of_what_it_uses(tmp_path: Path, estimator: LogisticRegression) -> None:
    headrace.models.save_model(estimator, tmp_path / "model", extra_pip_requirements=["sentinel==1"])

    lines = (tmp_path / "model" / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in lines] == ["cloudpickle", "numpy", "scikit-learn", "scipy", "sentinel"]
    conda = yaml.safe_load((tmp_path / "model" / "conda.yaml").read_text())
    assert conda["dependencies"][-1] == {"pip": lines}


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({"x": [1.5], "n": np.array([1], "int32"), "w": [pd.Timestamp("2020-01-02")], "b": [b"ab"]}),
        pd.DataFrame([[1.5, 2.5]]),
        np.ones((2, 3), "float32"),
        {"a": np.ones((2, 3), "float32"), "b": np.array([1, 2])},
        [{"a": 1, "b": "x"}],
    ],
    ids=["frame", "frame without names", "float32", "arrays", "records"],
)
def test_an_example_is_read_as_predict_takes_it(tmp_path: Path, given: Any) -> None:
    headrace.models.save_model(lambda data: data, tmp_path / "model", input_example=(given, {"n": 3}))

    loaded = headrace.pyfunc.load_model(tmp_path / "model")
    example = loaded.input_example
    assert loaded.input_example_params == {"n": 3}
    loaded.predict(example, loaded.input_example_params)
    if isinstance(given, pd.DataFrame):
        assert [str(one) for one in example.dtypes] == [str(one) for one in loaded.plan.enforce(given).dtypes]
        assert example.to_numpy().tolist() == given.to_numpy().tolist()
    elif isinstance(given, np.ndarray):
        assert example.dtype == given.dtype
    body = json.loads((tmp_path / "model" / "serving_input_example.json").read_text())
    assert body["params"] == {"n": 3}
    assert len(body) == 2


def test_a_model_as_mlflow_1_described_it_loads(
    tmp_path: Path, data: tuple[pd.DataFrame, list[int]], estimator: LogisticRegression
) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator))
    (tmp_path / "MLmodel").write_text(
        "artifact_path: model\n"
        "flavors:\n"
        "  python_function:\n"
        "    data: model.pkl\n"
        "    env: conda.yaml\n"
        "    loader_module: mlflow.sklearn\n"
        "    python_version: 3.6.9\n"
        "  sklearn:\n"
        "    pickled_model: model.pkl\n"
        "    serialization_format: cloudpickle\n"
        "    sklearn_version: 0.22\n"
        "run_id: 4b4a1c2a\n"
        "utc_time_created: '2020-03-01 10:00:00.000000'\n"
    )
    loaded = headrace.pyfunc.load_model(tmp_path)
    assert (loaded.predict(data[0]) == estimator.predict(data[0])).all()
    assert (loaded.metadata.run_id, loaded.model_id) == ("4b4a1c2a", None)
    assert headrace.models.load_model(tmp_path).coef_.tolist() == estimator.coef_.tolist()


def test_headrace_is_required_where_the_models_code_imports_it(tmp_path: Path) -> None:
    class ByValue(PythonModel):
        pass

    for name, model, wanted in (("by_value", ByValue(), False), ("by_name", Adder(), True)):
        headrace.pyfunc.save_model(tmp_path / name, model)
        lines = (tmp_path / name / "requirements.txt").read_text().split()
        assert (f"headrace=={headrace.__version__}" in lines) == wanted, name


class Adder(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        self.much = float(Path(context.artifacts["much"]).read_text())

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        return model_input["x"] + self.much * (params or {}).get("times", 1)


def test_a_python_model_finds_its_artifacts_and_params(tmp_path: Path) -> None:
    (tmp_path / "much.txt").write_text("2.5")
    signature = infer_signature(pd.DataFrame({"x": [1.0]}), params={"times": 1})

    headrace.pyfunc.save_model(
        tmp_path / "model", Adder(), artifacts={"much": str(tmp_path / "much.txt")}, signature=signature
    )
    (tmp_path / "much.txt").unlink()

    loaded = headrace.pyfunc.load_model(tmp_path / "model")
    assert loaded.predict(pd.DataFrame({"x": [1.0]}), {"times": 2}).tolist() == [6.0]
    assert loaded.unwrap_python_model().much == 2.5


def test_a_model_without_context_and_a_function_are_models_too(tmp_path: Path) -> None:
    class Plain(PythonModel):
        def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # type: ignore[override]
            return [one * 2 for one in model_input]

    headrace.pyfunc.save_model(tmp_path / "plain", Plain())
    headrace.models.save_model(lambda rows: [one + 1 for one in rows], tmp_path / "function")

    assert headrace.pyfunc.load_model(tmp_path / "plain").predict([1, 2]) == [2, 4]
    assert headrace.pyfunc.load_model(tmp_path / "function").predict([1, 2]) == [2, 3]


@pytest.mark.parametrize("library", ["headrace", "mlflow"])
def test_a_file_of_code_is_a_model(tmp_path: Path, library: str) -> None:
    (tmp_path / "m.py").write_text(
        f"import {library}.models, {library}.pyfunc\n"
        f"config = {library}.models.ModelConfig(development_config={{'n': 1}})\n"
        f"class M({library}.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return [one * config.get('n') for one in model_input]\n"
        f"{library}.models.set_model(M())\n"
    )
    headrace.pyfunc.save_model(tmp_path / "model", str(tmp_path / "m.py"), model_config={"n": 3})

    assert headrace.pyfunc.load_model(tmp_path / "model").predict([1, 2]) == [3, 6]
    assert headrace.pyfunc.load_model(tmp_path / "model", model_config={"n": 5}).predict([1]) == [5]


def test_code_that_comes_with_the_model_is_imported(tmp_path: Path) -> None:
    (tmp_path / "of_the_user_4711.py").write_text("def double(rows):\n    return [2 * one for one in rows]\n")
    (tmp_path / "m.py").write_text(
        "import of_the_user_4711\nfrom headrace.models import set_model\nset_model(of_the_user_4711.double)\n"
    )
    headrace.pyfunc.save_model(
        tmp_path / "model", str(tmp_path / "m.py"), code_paths=[str(tmp_path / "of_the_user_4711.py")]
    )
    (tmp_path / "of_the_user_4711.py").unlink()

    assert headrace.pyfunc.load_model(tmp_path / "model").predict([4]) == [8]


def test_what_is_no_model_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="it has no file MLmodel"):
        headrace.models.load_model(tmp_path)
    with pytest.raises(ValueError, match=r"no flavor knows what to do with a builtins\.int"):
        headrace.models.save_model(3, tmp_path / "x")
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing.there\n")
    with pytest.raises(ImportError, match="install the package that has nothing"):
        headrace.pyfunc.load_model(tmp_path)


@pytest.mark.parametrize("name", ["HEADRACE_ALLOW_PICKLE", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"])
def test_pickles_are_not_loaded_where_the_settings_forbid_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, estimator: LogisticRegression, name: str
) -> None:
    headrace.models.save_model(estimator, tmp_path / "pickled")
    (tmp_path / "m.py").write_text("import headrace\nheadrace.models.set_model(list)\n")
    headrace.pyfunc.save_model(tmp_path / "code", str(tmp_path / "m.py"))
    monkeypatch.setenv(name, "false")
    monkeypatch.setattr(process, "_settings", None)

    with pytest.raises(NoModel, match="is a pickle, which may run any code, and the settings allow none"):
        headrace.pyfunc.load_model(tmp_path / "pickled")
    assert headrace.pyfunc.load_model(tmp_path / "code").predict("ab") == ["a", "b"]
