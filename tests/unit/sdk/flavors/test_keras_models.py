"""Keras models on TensorFlow: compiled once, asked with arrays, dicts and DataFrames, in the estimator's layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace import models, pyfunc
from headrace.sdk.flavors.compiled import ROWS_A_CALL, compiled

pytestmark = [
    # TensorFlow and Keras are imported here, and say what they like of each other.
    pytest.mark.filterwarnings("ignore:::(tensorflow|keras|google|numpy).*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(300),
]

ROWS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
FRAME = pd.DataFrame(ROWS.astype(np.float64), columns=["a", "b", "c", "d"])


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def plain(keras: Any, last: str = "softmax", width: int = 3) -> Any:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(width, last)])


def two_inputs(keras: Any) -> Any:
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    return keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(keras.layers.Concatenate()([a, b])))


def test_no_number_of_rows_traces_a_model_again(keras: Any) -> None:
    seen: list[Any] = []

    class Seen(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            seen.append(inputs.shape)
            return inputs

    call = compiled(keras.Sequential([keras.Input((4,)), Seen(), keras.layers.Dense(2)]))
    traced = len(seen)
    for rows in range(1, 50):
        assert call(ROWS[:rows]).shape == (rows, 2)

    assert len(seen) == traced


def test_a_compiled_model_answers_as_predict_does(keras: Any) -> None:
    model = plain(keras)

    np.testing.assert_allclose(compiled(model)(ROWS), model.predict(ROWS, verbose=0), atol=1e-6)


def test_what_has_more_rows_than_go_at_once_is_answered_in_its_order(keras: Any) -> None:
    many = np.resize(ROWS, (2 * ROWS_A_CALL + 3, 4))
    call = compiled(plain(keras))

    np.testing.assert_allclose(call(many)[-3:], call(many[-3:]), atol=1e-6)
    assert call(many).shape == (len(many), 3)


def test_several_inputs_are_given_by_name_by_place_or_as_columns(keras: Any) -> None:
    call = compiled(two_inputs(keras))
    wanted = call({"a": ROWS[:, :1], "b": ROWS[:, 1:2]})

    for given in ([ROWS[:, :1], ROWS[:, 1:2]], FRAME, {"b": ROWS[:, 1], "a": ROWS[:, 0], "more": ROWS}):
        np.testing.assert_allclose(call(given), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ROWS[:, :3], "has the shape (50, 3); the model takes (any, 4)"),
        (np.array([["x"] * 4]), "is of float32, and cannot be made of <U1"),
    ],
)
def test_input_that_does_not_fit_says_what_the_model_takes(keras: Any, given: Any, said: str) -> None:
    with pytest.raises(ValueError, match="the input") as error:
        compiled(plain(keras))(given)
    assert said in str(error.value)


def test_an_input_that_is_missing_is_named(keras: Any) -> None:
    with pytest.raises(ValueError, match="the input lacks b; the model takes a, b"):
        compiled(two_inputs(keras))({"a": ROWS[:, :1]})


def test_a_model_without_inputs_of_its_own_is_traced_at_its_first_data(keras: Any) -> None:
    class Halved(keras.Model):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return {"half": inputs / 2}

    call = compiled(Halved())

    np.testing.assert_allclose(call(ROWS)["half"], ROWS / 2)
    np.testing.assert_allclose(call(ROWS[:3].astype(np.float64))["half"], ROWS[:3] / 2)


def test_a_layer_that_is_python_code_runs_as_it_is(keras: Any) -> None:
    class Sorted(keras.Model):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return inputs.numpy().sum(axis=1)

    np.testing.assert_allclose(compiled(Sorted())(ROWS), ROWS.sum(axis=1), rtol=1e-6)


def test_a_model_of_text_takes_text(keras: Any) -> None:
    words = keras.layers.StringLookup(vocabulary=["a", "b"])
    inputs = keras.Input((1,), dtype="string")

    assert compiled(keras.Model(inputs, words(inputs)))(np.array(["b", "a", "z"])).ravel().tolist() == [2, 1, 0]


def test_a_keras_classifier_in_the_estimator_layout_answers_a_frame_with_a_frame(keras: Any, tmp_path: Path) -> None:
    model = plain(keras)
    models.save_model(
        model,
        tmp_path / "m",
        layout="estimator",
        classes=["Setosa", "Versicolor", "Virginica"],
        input_example=FRAME[:3],
    )
    loaded = pyfunc.load_model(tmp_path / "m")

    answer = loaded.predict(FRAME[:2])

    wanted = model.predict(ROWS[:2], verbose=0)
    assert set(answer.columns) == {
        "logits", "probabilities", "class_ids", "classes", "all_class_ids", "all_classes"
    }  # fmt: skip
    np.testing.assert_allclose(np.array(answer["probabilities"].to_list()), wanted, atol=1e-6)
    assert answer["class_ids"].to_list() == wanted.argmax(axis=1).tolist()
    assert answer["all_classes"][0] == [b"Setosa", b"Versicolor", b"Virginica"]
    assert loaded.metadata.signature is not None
    assert loaded.metadata.get_input_schema().input_names() == ["a", "b", "c", "d"]  # type: ignore[union-attr]
    assert loaded.predictor.predict_array is not None
    pd.testing.assert_frame_equal(loaded.predictor.predict_array(FRAME[:2].to_numpy(), None), answer)


def test_a_sigmoid_in_the_estimator_layout_tells_two_classes(keras: Any, tmp_path: Path) -> None:
    model = plain(keras, "sigmoid", 1)
    models.save_model(model, tmp_path / "m", layout="estimator", columns=list("abcd"))

    answer = pyfunc.load_model(tmp_path / "m").predict(FRAME)

    second = np.array(answer["probabilities"].to_list())[:, 1]
    np.testing.assert_allclose(second, model.predict(ROWS, verbose=0)[:, 0], atol=1e-6)
    assert answer["classes"].to_list() == [b"1" if one > 0.5 else b"0" for one in second]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": ["a"]}, r"the model takes 4 features, and 1 columns are named: \['a'\]"),
        ({"columns": list("abcd"), "classes": ["x"]}, r"the model tells 3 classes, and 1 are named: \['x'\]"),
    ],
)
def test_names_that_do_not_fit_the_estimator_layout_are_refused(
    keras: Any, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        models.save_model(plain(keras), tmp_path / "m", layout="estimator", **options)


def test_custom_objects_come_with_the_model(keras: Any, tmp_path: Path) -> None:
    class Doubled(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    model = keras.Sequential([keras.Input((4,)), Doubled()])
    models.save_model(model, tmp_path / "m", custom_objects={"Doubled": Doubled})

    np.testing.assert_allclose(pyfunc.load_model(tmp_path / "m").predict(ROWS), ROWS * 2)


def test_what_is_registered_with_keras_comes_along_where_the_model_uses_it(keras: Any, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("team")
    class Tripled(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return inputs * 3

    models.save_model(keras.Sequential([keras.Input((4,)), Tripled()]), tmp_path / "uses")
    models.save_model(plain(keras), tmp_path / "plain")
    keras.saving.get_custom_objects().clear()

    np.testing.assert_allclose(pyfunc.load_model(tmp_path / "uses").predict(ROWS), ROWS * 3)
    assert not list((tmp_path / "plain").rglob("*.cloudpickle"))


def test_a_model_whose_code_is_not_there_says_so(keras: Any, tmp_path: Path) -> None:
    class Lost(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, inputs: Any) -> Any:
            return inputs

    models.save_model(keras.Sequential([keras.Input((4,)), Lost()]), tmp_path / "m")

    with pytest.raises(
        models.NoModel, match=r"model\.keras cannot be read by Keras 3.*'Lost'.*saved with custom_objects"
    ):
        pyfunc.load_model(tmp_path / "m")


def test_the_public_names_import_no_framework() -> None:
    code = (
        "import sys, headrace\n"
        "for name in ('tensorflow', 'keras', 'xgboost', 'lightgbm', 'catboost', 'pytorch', 'onnx', 'statsmodels'):\n"
        "    assert getattr(headrace, name).load_model and name not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
