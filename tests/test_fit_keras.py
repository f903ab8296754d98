"""Trainings against Keras itself: equal weights and data give equal losses, epoch for epoch."""

from types import SimpleNamespace

import numpy as np
import pytest

import neurograph as ng

RNG = np.random.default_rng(3)
X = RNG.normal(size=(22, 4))
CLASSES = RNG.integers(0, 3, 22)
WEIGHTS = RNG.uniform(0.5, 2.0, 22)
OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.05}),
    ("AdamW", {"learning_rate": 0.05, "weight_decay": 0.01}),
]


def ours(loss="categorical_crossentropy", optimizer="sgd", metrics=("accuracy",)):
    layers = [
        ng.Input((4,)),
        ng.Dense(5, activation="tanh", kernel_regularizer=ng.L2(0.01)),
        ng.Dense(3, activation="softmax"),
    ]
    net = ng.Network(layers, seed=4)
    return net.compile(optimizer, loss, metrics, dtype="float64")


def theirs(keras, weights, loss, optimizer, metrics):
    layers = [
        keras.Input((4,), dtype="float64"),
        keras.layers.Dense(
            5, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01), dtype="float64"
        ),
        keras.layers.Dense(3, activation="softmax", dtype="float64"),
    ]
    model = keras.Sequential(layers)
    model.set_weights(weights)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    return model


def numbers(history):
    return {name: [float(value) for value in row] for name, row in history.history.items()}


def both(keras, optimizer, options, target, loss, **fitted):
    """Train both for three epochs with a small last batch; return the two histories."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        model = ours(loss, getattr(ng, optimizer)(**options))
        other = theirs(
            keras,
            model.network.get_weights(),
            loss,
            getattr(keras.optimizers, optimizer)(**options),
            ["accuracy"],
        )
        settings = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0} | fitted
        return model.fit(X, target, **settings).history, numbers(other.fit(X, target, **settings))
    finally:
        keras.config.set_floatx(before)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS, ids=str)
def test_losses_and_metrics_of_every_epoch(keras, optimizer, options):
    history, expected = both(
        keras,
        optimizer,
        options,
        np.eye(3)[CLASSES],
        "categorical_crossentropy",
        validation_split=0.2,
    )
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        assert history[name] == pytest.approx(values, rel=1e-6), name


def test_weighted_samples_and_classes(keras):
    loss = "sparse_categorical_crossentropy"
    for fitted in ({"sample_weight": WEIGHTS}, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}):
        history, expected = both(keras, "SGD", {"learning_rate": 0.1}, CLASSES, loss, **fitted)
        assert history["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def test_accumulated_gradients(keras):
    options = {"learning_rate": 0.1, "gradient_accumulation_steps": 2}
    target, loss = np.eye(3)[CLASSES][:16], "categorical_crossentropy"
    model = ours(loss, ng.Adam(0.1))
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        weights = model.network.get_weights()
        other = theirs(keras, weights, loss, keras.optimizers.Adam(**options), ["accuracy"])
        settings = {"batch_size": 8, "epochs": 4, "shuffle": False, "verbose": 0}
        history = model.fit(X[:16], target, accumulate=2, **settings).history
        expected = numbers(other.fit(X[:16], target, **settings))
    finally:
        keras.config.set_floatx(before)
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def two_ends(layers, model):
    """Return a model of two inputs and outputs, of either library."""
    a = layers.Input((4,), name="a")
    h = layers.Dense(5, activation="tanh")(a)
    kind = layers.Dense(3, activation="softmax", name="kind")(h)
    return model(inputs=a, outputs=[kind, layers.Dense(2, name="size")(h)])


SEVERAL = {
    "by name": {
        "loss": {"size": "mse", "kind": "categorical_crossentropy"},
        "metrics": {"size": ["mae", "mse"], "kind": "accuracy"},
        "loss_weights": {"kind": 0.25, "size": 2.0},
    },
    "in order": {
        "loss": ["categorical_crossentropy", "mae"],
        "metrics": ["accuracy", ["mse"]],
        "loss_weights": [1.0, 0.5],
    },
    "of one output": {"loss": "mse", "metrics": {"size": ["mae"]}},
    "none": {"loss": "mse"},
}


@pytest.mark.parametrize("name", SEVERAL)
def test_losses_and_metrics_of_several_outputs(keras_float64, name):
    keras = keras_float64
    net = two_ends(ng, lambda **ends: ng.Network(seed=4, **ends))
    model = net.compile("sgd(0.1)", **SEVERAL[name], dtype="float64")
    other = two_ends(SimpleNamespace(Input=keras.Input, Dense=keras.layers.Dense), keras.Model)
    other.set_weights(net.get_weights())
    other.compile(keras.optimizers.SGD(0.1), **SEVERAL[name])
    targets = [np.eye(3)[CLASSES], RNG.normal(size=(22, 2))]
    settings = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    settings["validation_data"] = (X[:9], [each[:9] for each in targets])
    history = model.fit(X, targets, **settings).history
    expected = numbers(other.fit(X, targets, **settings))
    assert set(history) == set(expected)
    for key, values in expected.items():
        assert history[key] == pytest.approx(values, rel=1e-6), key
    scores = model.evaluate(X, targets)
    found = [float(each) for each in other.evaluate(X, targets, verbose=0)]
    assert len(model.score_names) == len(scores)
    assert scores == pytest.approx(found, rel=1e-6)
    rows = slice(3, 10)
    batch = X[rows], [each[rows] for each in targets]
    found = [float(each) for each in other.test_on_batch(*batch)]
    assert model.test_on_batch(*batch) == pytest.approx(found, rel=1e-6)
    assert model.train_on_batch(*batch)[0] == pytest.approx(float(other.train_on_batch(*batch)[0]))
