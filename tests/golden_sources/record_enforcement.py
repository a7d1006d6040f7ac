"""Asks stock MLflow 3.17.2 what it makes of every case, and writes `tests/golden_sources/enforcement.json`.

Run with the interpreter of an environment that has mlflow==3.17.2 (tests/.envs/mlflow-3.17.2 is one):

    tests/.envs/mlflow-3.17.2/bin/python tests/golden_sources/record_enforcement.py
"""

import json
import logging
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import enforcement_cases as cases
import mlflow
from mlflow.models import infer_signature
from mlflow.models.utils import _enforce_params_schema, _enforce_schema
from mlflow.types.schema import ParamSchema, Schema

warnings.simplefilter("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)


def tried(call):
    try:
        return {"accepted": True, "result": cases.described(call())}
    except Exception:
        return {"accepted": False}


recorded = {
    "mlflow": mlflow.__version__,
    "data": {
        name: tried(lambda: _enforce_schema(make(), Schema.from_json(cases.schema_json(schema))))
        for name, schema, make in cases.CASES
    },
    "params": {
        name: tried(lambda: _enforce_params_schema(given, ParamSchema.from_json(json.dumps(cases.PARAMS))))
        for name, given in cases.PARAM_CASES.items()
    },
    "inferred": {
        name: tried(lambda: infer_signature(make()).to_dict()["inputs"]) for name, make in cases.INFERRED.items()
    },
    "inferred params": {
        name: tried(lambda: infer_signature(params=given).to_dict()["params"])
        for name, given in cases.INFERRED_PARAMS.items()
    },
}
lines = [
    f"  {json.dumps(part)}: {{\n"
    + ",\n".join(f"    {json.dumps(name)}: {json.dumps(one)}" for name, one in recorded[part].items())
    + "\n  }"
    for part in ("data", "params", "inferred", "inferred params")
]
text = f'{{\n  "mlflow": {json.dumps(recorded["mlflow"])},\n' + ",\n".join(lines) + "\n}\n"
(Path(__file__).parent / "enforcement.json").write_text(text)
