"""Run where PyTorch, stock MLflow and this working tree are: modules go both ways, and predict the same.

pytorch_both_ways.py FOLDER
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
warnings.simplefilter("ignore")

import mlflow
import numpy as np
import pandas as pd
import torch
from headrace import models, pyfunc

FOLDER = Path(sys.argv[1])
ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
FRAME = pd.DataFrame(ROWS, columns=list("abcd"))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, rows):
        return torch.relu(self.layer(rows))


def ours(name, file, native, module, asked, **options):
    models.save_model(module, FOLDER / name, **options)
    assert (FOLDER / name / "data" / file).is_file(), name
    wanted = module(torch.tensor(ROWS)).detach().numpy()
    for load in (pyfunc.load_model, mlflow.pyfunc.load_model):
        answer = load(str(FOLDER / name)).predict(asked)
        assert isinstance(answer, type(asked)), name
        np.testing.assert_allclose(answer, wanted, atol=1e-6)
    for load in (models.load_model, mlflow.pytorch.load_model):
        assert type(load(str(FOLDER / name))).__name__ == native, name


def theirs(name, **options):
    module = Net().eval()
    mlflow.pytorch.save_model(module, str(FOLDER / name), pip_requirements=["torch"], **options)
    wanted = module(torch.tensor(ROWS)).detach().numpy()
    for rows in (5, 1):
        np.testing.assert_allclose(pyfunc.load_model(FOLDER / name).predict(ROWS[:rows]), wanted[:rows], atol=1e-6)


ours("script", "model.pth", "RecursiveScriptModule", torch.jit.script(Net()), ROWS)  # before cloudpickle makes Net anew
ours("exported", "model.pt2", "GraphModule", Net(), ROWS, input_example=ROWS)
ours("of_a_frame", "model.pt2", "GraphModule", Net(), FRAME, input_example=FRAME)
ours("without_example", "model.pth", "Net", Net(), ROWS)
ours("pickled", "model.pth", "Net", Net(), ROWS, input_example=ROWS, serialization_format="pickle")
theirs("their_pt2", input_example=ROWS)
theirs("their_pickle", serialization_format="pickle")
print("ok")
