"""Run by stock MLflow: loads every model below a folder, by pyfunc and by its own loader, and keeps what each answers.

load_by_mlflow.py FOLDER: reads NAME.asked, writes NAME.answered: what pyfunc predicted, and the classes of the native models; or why it could not
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

import mlflow


def answers(folder, data):
    model = mlflow.pyfunc.load_model(str(folder))
    flavors = [name for name in model.metadata.flavors if name != "python_function"]
    natives = [type(getattr(mlflow, name).load_model(str(folder))).__name__ for name in flavors]
    return model.predict(data), natives


for file in sorted(Path(sys.argv[1]).glob("*.asked")):
    try:
        answered = answers(file.with_suffix(""), pickle.loads(file.read_bytes()))
    except Exception:
        answered = (traceback.format_exc(), None)
    file.with_suffix(".answered").write_bytes(pickle.dumps(answered))
