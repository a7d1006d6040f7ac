"""Train a `tf.estimator.DNNClassifier` on the iris data set, log it by autolog, load it back as a Python function.

Needs a TensorFlow that has estimators (2.15 is the last). Run it with `python train_predict.py`, or as a project.
"""

from __future__ import annotations

import argparse
import tempfile

import headrace.pyfunc
import headrace.tensorflow
import pandas as pd
import tensorflow as tf

DATA = "http://download.tensorflow.org/data/"
FEATURES = ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"]
SPECIES = ["Setosa", "Versicolor", "Virginica"]
UNSEEN = pd.DataFrame([[5.1, 3.3, 1.7, 0.5], [5.9, 3.0, 4.2, 1.5], [6.9, 3.1, 5.4, 2.1]], columns=FEATURES)


def flowers(file: str) -> tuple[pd.DataFrame, pd.Series]:
    """The features, and the species (0 to 2), of one of the two files; the first line of a file is no data."""
    path = tf.keras.utils.get_file(file, DATA + file)
    table = pd.read_csv(path, names=[*FEATURES, "Species"], header=0)
    return table[FEATURES], table["Species"]


def batches(
    features: pd.DataFrame, species: pd.Series | None, batch_size: int, repeat: bool = False
) -> tf.data.Dataset:
    """Batches of a table; with repeat, shuffled and without end."""
    columns = dict(features)
    data = tf.data.Dataset.from_tensor_slices(columns if species is None else (columns, species))
    return (data.shuffle(1000).repeat() if repeat else data).batch(batch_size)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--train_steps", type=int, default=1000)
    args = parser.parse_args()

    # From here on estimators log their steps, every 100th of their scalars, what they evaluate and what they export.
    headrace.tensorflow.autolog(every_n_iter=100)

    with headrace.start_run() as run:
        headrace.log_params(vars(args))
        train, test = flowers("iris_training.csv"), flowers("iris_test.csv")
        classifier = tf.estimator.DNNClassifier(
            feature_columns=[tf.feature_column.numeric_column(name) for name in FEATURES],
            hidden_units=[10, 10],
            n_classes=3,
        )
        classifier.train(lambda: batches(*train, args.batch_size, repeat=True), steps=args.train_steps)
        found = classifier.evaluate(lambda: batches(*test, args.batch_size))
        print(f"Test set accuracy: {found['accuracy']:.3f}")

        predicted = [
            SPECIES[one["class_ids"][0]] for one in classifier.predict(lambda: batches(UNSEEN, None, args.batch_size))
        ]

        inputs = {name: tf.Variable([], dtype=tf.float64, name=name) for name in FEATURES}
        receiver = tf.estimator.export.build_raw_serving_input_receiver_fn(inputs)
        with tempfile.TemporaryDirectory() as folder:
            classifier.export_saved_model(folder, receiver)  # autolog logs it as the run's `model`

    headrace.flush()
    answer = headrace.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(UNSEEN)
    print("The reloaded model answers with", *sorted(answer.columns))
    again = [SPECIES[int(one)] for one in answer["class_ids"]]
    for first, second in zip(predicted, again, strict=True):
        print(f"Original prediction is {first}, reloaded prediction is {second}")


if __name__ == "__main__":
    main()
