"""PyTorch Lightning's autolog: params, history by epoch and by step, the model; and its own MLFlowLogger."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json
import os
import warnings

import mlflow
import mlflow.pytorch
import numpy as np
import pytorch_lightning as lightning
import torch
from mlflow import MlflowClient
from pytorch_lightning.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
torch.manual_seed(0)
torch.set_num_threads(1)
client = MlflowClient()
mlflow.set_experiment("lightning")
x = torch.randn(96, 4)
y = (x[:, :1] > 0).float()


class Net(lightning.LightningModule):
    """One linear layer."""

    def __init__(self, width: int = 4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def forward(self, values):
        return torch.sigmoid(self.layer(values))

    def training_step(self, batch, number):
        loss = torch.nn.functional.binary_cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, number):
        self.log("val_loss", torch.nn.functional.binary_cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


def fit(net, logger=False):
    """Three epochs of three batches."""
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
    )
    trainer.fit(net, DataLoader(TensorDataset(x, y), 32), DataLoader(TensorDataset(x, y), 96))


mlflow.pytorch.autolog(log_every_n_step=1, checkpoint=False)
with mlflow.start_run() as active:
    net = Net()
    fit(net)
mlflow.pytorch.autolog(disable=True)
run = client.get_run(active.info.run_id)
assert run.info.status == "FINISHED"
assert run.data.params["epochs"] == "3" and run.data.params["optimizer_name"] == "Adam", run.data.params
assert run.data.params["lr"] == "0.05", run.data.params
assert [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")] == [0, 1, 2]
assert len(client.get_metric_history(run.info.run_id, "train_loss_step")) == 9
epochs = client.get_metric_history(run.info.run_id, "train_loss_epoch")
assert len(epochs) == 3 and epochs[-1].value < epochs[0].value, epochs
assert "model_summary.txt" in {file.path for file in client.list_artifacts(run.info.run_id)}
[output] = run.outputs.model_outputs
loaded = mlflow.pytorch.load_model(f"models:/{output.model_id}")
net.eval()
assert torch.equal(loaded(x), net(x))
served = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
assert np.allclose(served.predict(x.numpy()), net(x).detach().numpy())

# Lightning's own logger writes through the client.
logger = MLFlowLogger(
    "lightning-logger", tracking_uri=os.environ["MLFLOW_TRACKING_URI"], run_name="logged", tags={"kind": "logger"}
)
fit(Net(), logger)
run = client.get_run(logger.run_id)
assert run.info.run_name == "logged" and run.info.status == "FINISHED" and run.data.tags["kind"] == "logger"
assert run.data.params["width"] == "4", run.data.params
assert len(client.get_metric_history(logger.run_id, "train_loss_step")) == 9
assert len(client.get_metric_history(logger.run_id, "val_loss")) == 3
print(
    json.dumps(
        {"ok": True, "mlflow": mlflow.__version__, "torch": torch.__version__, "lightning": lightning.__version__}
    )
)
