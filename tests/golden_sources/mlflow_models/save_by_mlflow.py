"""Run by stock MLflow: saves a model of every flavor below a folder, with what each was asked and answered.

save_by_mlflow.py FOLDER
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).parent))

import mlflow
import trained
from mlflow.models import infer_signature

FOLDER = Path(sys.argv[1])
NOTHING = {"pip_requirements": ["pandas"]}


def saved(name, save, model, *, native=False, signed=True, **options):
    """Save it, ask it, and keep both."""
    data = trained.asked(name)
    signature = infer_signature(data) if signed else None
    save(model, str(FOLDER / name), signature=signature, **NOTHING, **options)
    asked(name)


def asked(name):
    data = trained.asked(name)
    predicted = mlflow.pyfunc.load_model(str(FOLDER / name)).predict(data)
    (FOLDER / f"{name}.pickle").write_bytes(pickle.dumps((data, predicted)))
    print(name, type(predicted).__name__)


def main():
    import keras

    FOLDER.mkdir(parents=True, exist_ok=True)
    saved("sklearn_skops", mlflow.sklearn.save_model, trained.sklearn())
    saved("sklearn_pickle", mlflow.sklearn.save_model, trained.sklearn(), serialization_format="pickle")
    saved(
        "sklearn_proba",
        mlflow.sklearn.save_model,
        trained.sklearn(),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
    )
    for kind in ("booster", "classifier"):
        saved(f"xgboost_{kind}", mlflow.xgboost.save_model, trained.xgboost(kind))
        saved(f"lightgbm_{kind}", mlflow.lightgbm.save_model, trained.lightgbm(kind))
    saved("xgboost_json", mlflow.xgboost.save_model, trained.xgboost("classifier"), model_format="json")
    saved(
        "lightgbm_pickle",
        mlflow.lightgbm.save_model,
        trained.lightgbm("classifier"),
        serialization_format="cloudpickle",
    )
    for kind in ("classifier", "regressor"):
        saved(f"catboost_{kind}", mlflow.catboost.save_model, trained.catboost(kind))
    saved("onnx", mlflow.onnx.save_model, trained.onnx())
    saved("statsmodels", mlflow.statsmodels.save_model, trained.statsmodels("ols"))
    saved("statsmodels_series", mlflow.statsmodels.save_model, trained.statsmodels("series"), signed=False)
    for kind in ("plain", "named", "image"):
        saved(f"tensorflow_{kind}", mlflow.tensorflow.save_model, trained.keras(kind))
        saved(f"keras_{kind}", mlflow.keras.save_model, trained.keras(kind))
    model, objects = trained.keras("custom")
    saved("tensorflow_custom", mlflow.tensorflow.save_model, model, custom_objects=objects)
    saved("keras_exported", mlflow.keras.save_model, trained.keras(), save_exported_model=True)
    model, objects = trained.keras("custom")
    keras.saving.register_keras_serializable("team")(objects["Doubled"])
    saved("tensorflow_registered", mlflow.tensorflow.save_model, model)
    keras.saving.get_custom_objects().clear()
    saved("tensorflow_module", mlflow.tensorflow.save_model, trained.module())

    class Tripled(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            self.factor = int(Path(context.artifacts["factor"]).read_text())

        def predict(self, context, model_input, params=None):
            return model_input.sum(axis=1) * self.factor

    (FOLDER / "factor.txt").write_text("3")
    mlflow.pyfunc.save_model(
        str(FOLDER / "python_function"),
        python_model=Tripled(),
        artifacts={"factor": str(FOLDER / "factor.txt")},
        **NOTHING,
    )
    asked("python_function")


main()
