"""Writes Python models of each kind by the stock MLflow that runs it, into `VERSION/` below a folder.

Pickles hold the paths of code and MLmodel that of the folder, so all are neutral, and no project is around them:

    cp tests/golden_sources/write_python_models.py /tmp/written.py && mkdir /tmp/models
    ln -s $PWD/tests/.envs/mlflow-2.22 /tmp/mlflow2 && ln -s $PWD/tests/.envs/mlflow-3.17.2 /tmp/mlflow3
    (cd /tmp/models && /tmp/mlflow2/bin/python /tmp/written.py && /tmp/mlflow3/bin/python /tmp/written.py)
    mv /tmp/models/[0-9]* tests/golden_sources/python_models/

What they were asked and answered is in their input examples and in `answers.json`. Pickled code is read by the minor
version of Python that wrote it, 3.11, and by no other.
"""

import json
import logging
import shutil
import sys
import warnings
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature

warnings.simplefilter("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)
FOLDER = Path.cwd() / mlflow.__version__
FRAME = pd.DataFrame({"x": [1.0, 2.0]})


class WithContext(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.much = float(Path(context.artifacts["much"]).read_text())

    def predict(self, context, model_input, params=None):
        return model_input["x"] + self.much * (params or {}).get("times", 1)


class WithoutContext(mlflow.pyfunc.PythonModel):
    def predict(self, model_input, params=None):
        return [len(model_input)]


class Texts(mlflow.pyfunc.PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:
        return [one.upper() for one in model_input]


def doubled(model_input):
    return model_input["x"] * 2


def shouted(model_input: list[str]) -> list[str]:
    return [f"{one}!" for one in model_input]


CODE = """
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc import PythonModel

class Coded(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * ModelConfig(development_config={"by": 1}).get("by")

set_model(Coded())
"""


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "much.txt").write_text("2.5")
    (FOLDER / "coded.py").write_text(CODE)
    signed = {"signature": infer_signature(FRAME, params={"times": 1})}
    asked = {
        "with_context": (WithContext(), {"artifacts": {"much": str(FOLDER / "much.txt")}, **signed}, FRAME),
        "without_context": (WithoutContext(), {}, FRAME),
        "texts": (Texts(), {}, ["a", "b"]),
        "function": (doubled, {"input_example": FRAME}, FRAME),
        "function_of_texts": (shouted, {"input_example": ["a"]}, ["a", "b"]),
        "code": (str(FOLDER / "coded.py"), {"model_config": {"by": 3}}, FRAME),
    }
    answers = {}
    for name, (model, options, data) in asked.items():
        mlflow.pyfunc.save_model(str(FOLDER / name), python_model=model, pip_requirements=["mlflow"], **options)
        answered = mlflow.pyfunc.load_model(str(FOLDER / name)).predict(data)
        answers[name] = answered.tolist() if hasattr(answered, "tolist") else answered
    (FOLDER / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    for name in ("much.txt", "coded.py"):
        (FOLDER / name).unlink()
    for pycache in FOLDER.rglob("__pycache__"):
        shutil.rmtree(pycache)


if __name__ == "__main__":
    sys.exit(main())
