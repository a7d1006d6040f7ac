"""Transformers' MLflowCallback: a tiny model made from a configuration, trained, its logs read back."""

# A script, not a pytest test; its libraries are not in this project's environment.
# mypy: ignore-errors
# ruff: noqa: PT018
import json
import os
import pathlib
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_MLFLOW_LOG_ARTIFACTS"] = "1"
os.environ["MLFLOW_EXPERIMENT_NAME"] = "transformers"
os.environ["MLFLOW_FLATTEN_PARAMS"] = "1"

import mlflow
import torch
import transformers
from mlflow import MlflowClient
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

warnings.simplefilter("ignore")
torch.manual_seed(0)
torch.set_num_threads(1)
client = MlflowClient()
config = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
)
rows = [{"input_ids": torch.randint(0, 50, (8,)), "labels": torch.tensor(number % 2)} for number in range(32)]
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=3,
        per_device_train_batch_size=8,
        logging_steps=2,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        report_to=["mlflow"],
        run_name="tiny",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(BertForSequenceClassification(config), arguments, train_dataset=rows, eval_dataset=rows[:8])
    trainer.train()
    mlflow.end_run()
experiment = client.get_experiment_by_name("transformers")
[run] = client.search_runs([experiment.experiment_id])
run_id = run.info.run_id
assert run.info.run_name == "tiny"
assert run.info.status == "FINISHED"
assert len(run.data.params) > 100, len(run.data.params)
assert run.data.params["hidden_size"] == "16" and run.data.params["num_train_epochs"] == "3", run.data.params
losses = client.get_metric_history(run_id, "loss")
assert [point.step for point in losses] == [2, 4, 6, 8, 10, 12], losses
assert [point.step for point in client.get_metric_history(run_id, "eval_loss")] == [4, 8, 12]
assert "train_runtime" in run.data.metrics
assert run.data.metrics["loss"] == losses[-1].value
# Its checkpoints are models without a loader: the files, and where they came from.
models = [client.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
assert {model.name for model in models} == {"checkpoint-4", "checkpoint-8", "checkpoint-12"}, models
local = mlflow.artifacts.download_artifacts(f"models:/{models[0].model_id}")
assert list(pathlib.Path(local).rglob("model.safetensors")), list(pathlib.Path(local).rglob("*"))
print(json.dumps({"ok": True, "mlflow": mlflow.__version__, "transformers": transformers.__version__}))
