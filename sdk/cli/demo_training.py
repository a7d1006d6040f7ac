"""One training of the demo, in a process of its own: a real model on one of scikit-learn's data sets, logged live.

`python -m headrace.sdk.cli.demo_training JSON`, JSON a `Training`. Each line on stdout is a JSON object: `step` and
`score` while it trains, at the end `run_id` and `points`, how many it logged of each metric.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import headrace

VALIDATION_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Training:
    """What to train. pace_s: how long it is stretched to, seconds, so that a person can watch; 0 trains at full speed.

    data: digits, breast_cancer, wine or diabetes. model: linear, mlp or boosting. steps: mini-batches, or trees.
    """

    name: str
    data: str
    model: str
    params: dict[str, Any] = field(default_factory=dict)
    steps: int = 200
    batch_size: int = 32
    seed: int = 0
    pace_s: float = 12.0
    tracking_uri: str = ""
    spool_dir: str = ""

    @property
    def experiment(self) -> str:
        """The experiment's name on the page."""
        return f"demo: {self.data.replace('_', ' ')}"

    @property
    def score(self) -> str:
        """The metric that ranks the runs of this data set."""
        return "val_r2" if self.data == "diabetes" else "val_accuracy"

    def to_json(self) -> str:
        """As the process takes it."""
        return json.dumps(dataclasses.asdict(self))


TRAININGS = (
    Training("mlp 64, adam", "digits", "mlp", {"hidden_layer_sizes": [64], "learning_rate_init": 0.003}),
    Training("linear, small steps", "digits", "linear", {"alpha": 0.0001, "eta0": 0.002}),
    Training("mlp 16, too fast", "digits", "mlp", {"hidden_layer_sizes": [16], "learning_rate_init": 0.08}),
    Training("boosted stumps", "breast_cancer", "boosting", {"learning_rate": 0.1, "max_depth": 1}),
    Training("mlp 128-64, careful", "digits", "mlp", {"hidden_layer_sizes": [128, 64], "learning_rate_init": 0.0007}),
    Training("mlp 8", "wine", "mlp", {"hidden_layer_sizes": [8], "learning_rate_init": 0.01}),
    Training("boosted trees", "diabetes", "boosting", {"learning_rate": 0.05, "max_depth": 3}),
    Training("mlp 32", "breast_cancer", "mlp", {"hidden_layer_sizes": [32], "learning_rate_init": 0.002}),
    Training("linear, large steps", "digits", "linear", {"alpha": 0.0001, "eta0": 0.1}),
    Training("linear", "wine", "linear", {"alpha": 0.001, "eta0": 0.01}),
    Training("boosted stumps", "diabetes", "boosting", {"learning_rate": 0.1, "max_depth": 1}),
    Training("boosted trees", "breast_cancer", "boosting", {"learning_rate": 0.05, "max_depth": 3}),
)
"""What the demo trains, in this order; more runs repeat it with other seeds."""


def trainings(count: int, pace_s: float, tracking_uri: str, spool_dir: str) -> list[Training]:
    """The first so many trainings of the demo."""
    chosen = []
    for number in range(count):
        turn, place = divmod(number, len(TRAININGS))
        training = TRAININGS[place]
        name = training.name if not turn else f"{training.name}, seed {turn}"
        chosen.append(
            dataclasses.replace(
                training, name=name, seed=turn, pace_s=pace_s, tracking_uri=tracking_uri, spool_dir=spool_dir
            )
        )
    return chosen


def train(training: Training) -> None:
    """Train, log, and tell the parent on stdout how it goes."""
    import numpy as np
    from sklearn import datasets, model_selection, preprocessing

    loaded = getattr(datasets, f"load_{training.data}")()
    features = preprocessing.StandardScaler().fit_transform(loaded.data)
    train_x, val_x, train_y, val_y = model_selection.train_test_split(
        features, loaded.target, test_size=VALIDATION_SHARE, random_state=7
    )
    headrace.init(training.tracking_uri, spool_dir=training.spool_dir, offline=False)
    headrace.set_experiment(training.experiment)
    points: Counter[str] = Counter()
    tags = {"model": training.model, "framework": "scikit-learn", "demo": "yes"}
    description = f"{training.model} on scikit-learn's {training.data.replace('_', ' ')} data, {training.steps} steps"
    with headrace.start_run(run_name=training.name, tags=tags, description=description) as run:
        headrace.log_params(
            {
                "model": training.model,
                "steps": training.steps,
                "batch_size": training.batch_size,
                "seed": training.seed,
                **training.params,
            }
        )
        for part, x, y in (("training", train_x, train_y), ("validation", val_x, val_y)):
            data_set = headrace.data.from_numpy(x, targets=y, name=f"{training.data} {part}")
            headrace.log_input(data_set, context=part)
        model = make(training)
        start_s = time.monotonic()
        for step, (x, y) in enumerate(fitted(training, model, train_x, train_y)):
            measured = {
                **measure("train", model, x, y, np.unique(loaded.target)),
                **measure("val", model, val_x, val_y, np.unique(loaded.target)),
            }
            headrace.log_metrics(measured, step=step)
            points.update(measured.keys())
            _tell(step=step + 1, score=measured[training.score])
            time.sleep(max(0.0, start_s + training.pace_s * (step + 1) / training.steps - time.monotonic()))
        _log_outcome(training, model, val_x, val_y, loaded)
    _tell(run_id=run.info.run_id, points=dict(points))


def make(training: Training) -> Any:
    """The model, untrained. Raises ValueError for an unknown one."""
    from sklearn import ensemble, linear_model, neural_network

    params = dict(training.params)
    if training.model == "mlp":
        params["hidden_layer_sizes"] = tuple(params["hidden_layer_sizes"])
        return neural_network.MLPClassifier(random_state=training.seed, **params)
    if training.model == "linear":
        return linear_model.SGDClassifier(
            loss="log_loss", learning_rate="constant", random_state=training.seed, **params
        )
    if training.model == "boosting":
        kind = "Regressor" if training.data == "diabetes" else "Classifier"
        boosting = getattr(ensemble, f"GradientBoosting{kind}")
        return boosting(warm_start=True, subsample=0.7, random_state=training.seed, **params)
    raise ValueError(f"there is no model {training.model!r}")


def fitted(training: Training, model: Any, x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    """Fit the model step by step; after each, what it was fitted on: a mini-batch, or for trees everything."""
    import numpy as np

    generator = np.random.default_rng(training.seed)
    classes = np.unique(y)
    for step in range(training.steps):
        if training.model == "boosting":
            model.set_params(n_estimators=step + 1)
            model.fit(x, y)
            yield x, y
        else:
            batch = generator.choice(len(x), training.batch_size, replace=False)
            model.partial_fit(x[batch], y[batch], classes=classes)
            yield x[batch], y[batch]


def measure(part: str, model: Any, x: Any, y: Any, classes: Any) -> dict[str, float]:
    """Loss and accuracy of a classifier, or mean squared error and R² of a regressor."""
    from sklearn import metrics

    if not hasattr(model, "predict_proba"):
        predicted = model.predict(x)
        loss, r2 = metrics.mean_squared_error(y, predicted), metrics.r2_score(y, predicted)
        return {f"{part}_loss": float(loss), f"{part}_r2": float(r2)}
    probabilities = model.predict_proba(x)
    accuracy = metrics.accuracy_score(y, model.classes_[probabilities.argmax(axis=1)])
    loss = metrics.log_loss(y, probabilities, labels=classes)
    return {f"{part}_loss": float(loss), f"{part}_accuracy": float(accuracy)}


def _log_outcome(training: Training, model: Any, x: Any, y: Any, loaded: Any) -> None:
    """The artifacts: what the model gets right and wrong."""
    import numpy as np
    from sklearn import metrics

    predicted = model.predict(x)
    headrace.log_dict({**dataclasses.asdict(training), "parameters": model.get_params()}, "training.json")
    if training.data == "diabetes":
        headrace.log_table({"truth": y, "predicted": np.round(predicted, 1)}, "predictions.json")
        return
    names = [str(name) for name in loaded.target_names]
    matrix = metrics.confusion_matrix(y, predicted)
    headrace.log_table({"truth": names, **{name: matrix[:, i] for i, name in enumerate(names)}}, "confusion.json")
    headrace.log_image(heat_map(matrix), "confusion.png")
    report = metrics.classification_report(y, predicted, target_names=names, zero_division=0)
    headrace.log_text(report, "report.txt")
    if training.data == "digits" and (predicted != y).any():
        headrace.log_image(contact_sheet(x[predicted != y][:32]), "mistakes.png")


def heat_map(matrix: Any, cell_pixels: int = 32) -> Any:
    """A confusion matrix as a picture: each row from white (none) to deep blue (all), one cell a pair of classes."""
    import numpy as np

    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    deep = np.array([0.05, 0.25, 0.55])
    cells = 1 - share[:, :, None] ** 0.5 * (1 - deep)
    picture = cells.repeat(cell_pixels, axis=0).repeat(cell_pixels, axis=1)
    picture[::cell_pixels] = picture[:, ::cell_pixels] = 0.85
    return picture


def contact_sheet(digits: Any, columns: int = 8, scale: int = 6) -> Any:
    """Pictures of 8 by 8 pixels, standardized, in rows beside each other."""
    import numpy as np

    rows = -(-len(digits) // columns)
    sheet = np.zeros((rows * 9, columns * 9))
    for number, digit in enumerate(digits):
        top, left = number // columns * 9, number % columns * 9
        sheet[top : top + 8, left : left + 8] = (digit.reshape(8, 8) + 1.5) / 4
    return np.clip(sheet, 0, 1).repeat(scale, axis=0).repeat(scale, axis=1)


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """Train what the first argument says."""
    # The "too fast" model diverges on purpose; that shows on the page, not as warnings.
    warnings.simplefilter("ignore")
    train(Training(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
