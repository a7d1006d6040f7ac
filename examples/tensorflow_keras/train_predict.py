"""Train a Keras 3 classifier on the iris data set, log it by autolog, load it back as a Python function.

The model is also saved as TensorFlow's estimators were, so that it takes a DataFrame and answers with one.
"""

from __future__ import annotations

import argparse

import headrace.pyfunc
import headrace.tensorflow
import keras
import pandas as pd
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

FEATURES = ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"]
SPECIES = ["Setosa", "Versicolor", "Virginica"]
UNSEEN = pd.DataFrame([[5.1, 3.3, 1.7, 0.5], [5.9, 3.0, 4.2, 1.5], [6.9, 3.1, 5.4, 2.1]], columns=FEATURES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--train_steps", type=int, default=1000)
    args = parser.parse_args()

    # From here on every fit logs its params, metrics of epochs and of every 100th step, its data and the model.
    headrace.tensorflow.autolog(every_n_iter=100)

    features, species = load_iris(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(features, species, test_size=30, random_state=0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(10, activation="relu"),
            keras.layers.Dense(10, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    steps_per_epoch = -(-len(train_x) // args.batch_size)

    with headrace.start_run():
        headrace.log_params({"train_steps": args.train_steps})
        epochs = max(1, args.train_steps // steps_per_epoch)
        model.fit(train_x, train_y, batch_size=args.batch_size, epochs=epochs, verbose=0)
        found = model.evaluate(test_x, test_y, verbose=0, return_dict=True)
        headrace.log_metrics({f"test_{key}": value for key, value in found.items()})
        print(f"Test set accuracy: {found['accuracy']:.3f}")
        logged = headrace.tensorflow.log_model(
            model, name="iris", layout="estimator", columns=FEATURES, classes=SPECIES
        )

    headrace.flush()
    predicted = [SPECIES[place] for place in model.predict(UNSEEN.to_numpy(), verbose=0).argmax(axis=1)]
    answer = headrace.pyfunc.load_model(logged.model_uri).predict(UNSEEN)
    print("The reloaded model answers with", *sorted(answer.columns))
    again = [SPECIES[int(one)] for one in answer["class_ids"]]
    for first, second in zip(predicted, again, strict=True):
        print(f"Original prediction is {first}, reloaded prediction is {second}")


if __name__ == "__main__":
    main()
