"""PyTorch Lightning, on demand: its wheels are a download of 2.8 GB."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments import ROOT, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SCRIPT = """
import sys
from pathlib import Path
import headrace, headrace.pyfunc
headrace.init(sys.argv[1], spool_dir=sys.argv[2], record_environment=False)
headrace.autolog()
import pytorch_lightning as pl, torch
from torch.utils.data import DataLoader, TensorDataset

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, x):
        return self.layer(x)
    def training_step(self, batch, place):
        loss = torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss
    def validation_step(self, batch, place):
        self.log("val_loss", torch.nn.functional.cross_entropy(self(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)

X = torch.randn(60, 4)
loader = DataLoader(TensorDataset(X, (X[:, 0] > 0).long()), batch_size=20)
net, stop = Net(), pl.callbacks.EarlyStopping("val_loss", patience=3)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
trainer = pl.Trainer(max_epochs=4, callbacks=[stop], **quiet)
held = list(trainer.callbacks)
trainer.fit(net, loader, loader)
assert trainer.callbacks == held
headrace.flush()
[folder] = Path(sys.argv[1]).glob("artifacts/*/models/*/artifacts")
difference = abs(headrace.pyfunc.load_model(folder).predict(X.numpy()) - net(X).detach().numpy()).max()
assert difference < 1e-6, difference
print("ok")
"""


def test_lightning_is_logged_and_its_module_loads_back(tmp_path: Path, missing: Callable[[str], None]) -> None:
    if os.environ.get("HEADRACE_TEST_INTEGRATIONS") != "1":
        pytest.skip("NOT TESTED HERE: PyTorch is a download of 2.8 GB; asked for with HEADRACE_TEST_INTEGRATIONS=1")
    packages = ("torch==2.15.0", "pytorch-lightning==2.6.6", "-e", str(ROOT))
    done = subprocess.run(
        [str(environment("lightning", packages, missing)), "-c", SCRIPT, str(tmp_path / "data"), str(tmp_path / "s")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["ok"]), done.stderr[-6000:]
    assert "was not logged" not in done.stderr
