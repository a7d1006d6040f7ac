"""Trains a small network on handwritten digits and logs it as it goes: `python train_sklearn.py [learning rate]`.

Events go where HEADRACE_TRACKING_URI says, or else to http://127.0.0.1:5000. Needs scikit-learn.
"""

import sys

import headrace
from sklearn.datasets import load_digits
from sklearn.metrics import classification_report, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

learning_rate = float(sys.argv[1]) if len(sys.argv) > 1 else 0.003
digits = load_digits()
train_x, val_x, train_y, val_y = train_test_split(digits.data / 16, digits.target, random_state=0)

headrace.set_experiment("digits")
with headrace.start_run(run_name=f"lr {learning_rate}", tags={"model": "mlp"}) as run:
    headrace.log_params({"learning_rate": learning_rate, "hidden": 64, "epochs": 30})
    headrace.log_input(headrace.data.from_numpy(train_x, targets=train_y, name="digits"), context="training")
    model = MLPClassifier((64,), learning_rate_init=learning_rate, random_state=0)
    for epoch in range(30):
        model.partial_fit(train_x, train_y, classes=range(10))
        headrace.log_metrics(
            {
                "train_loss": model.loss_,
                "val_loss": log_loss(val_y, model.predict_proba(val_x)),
                "val_accuracy": model.score(val_x, val_y),
            },
            step=epoch,
        )
    headrace.log_text(classification_report(val_y, model.predict(val_x), zero_division=0), "report.txt")

print(f"run {run.info.run_id} ended with val_accuracy {model.score(val_x, val_y):.3f}")
