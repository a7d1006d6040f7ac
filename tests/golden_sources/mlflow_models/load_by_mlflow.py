"""Run by stock MLflow: loads every model below a folder, by pyfunc and by its own loader, and keeps what each answers.

load_by_mlflow.py FOLDER: reads NAME.asked, writes NAME.answered
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

import mlflow

for file in sorted(Path(sys.argv[1]).glob("*.asked")):
    folder = file.with_suffix("")
    model = mlflow.pyfunc.load_model(str(folder))
    flavors = [name for name in model.metadata.flavors if name != "python_function"]
    native = [type(getattr(mlflow, name).load_model(str(folder))).__name__ for name in flavors]
    answered = model.predict(pickle.loads(file.read_bytes()))
    file.with_suffix(".answered").write_bytes(pickle.dumps((answered, native)))
    print(folder.name, native)
