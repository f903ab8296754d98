"""The dense rows of the benchmark in scikit-learn, and the random graph in neat-python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from neurograph.bench.rows import WIDTH, Row, random_edges


def make(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step: Adam, since it has no RMSprop."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, y = row.data()
    activation = {"relu": "relu", "sigmoid": "logistic"}[row.layers[0][2]]
    options: dict[str, Any] = {
        "hidden_layer_sizes": tuple(each[1] for each in row.layers),
        "activation": activation,
        "solver": "sgd" if row.optimizer == "sgd" else "adam",
        "batch_size": row.batch,
        "learning_rate_init": 1e-4,
        "random_state": 0,
    }
    warnings.simplefilter("ignore")  # it remarks on unfinished training at every step
    if row.goal == "squares":
        regressor = MLPRegressor(**options)
        return lambda: regressor.partial_fit(x, y)
    labels, classes = y.argmax(1), range(row.outputs)
    classifier = MLPClassifier(**options)
    classifier.partial_fit(x, labels, classes=classes)
    return lambda: classifier.partial_fit(x, labels)


def make_neat(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that activates neat-python's network for every sample."""
    from neat.nn import FeedForwardNetwork

    x, _ = row.data()
    edges = random_edges(row.edges)
    into: dict[int, list[tuple[int, float]]] = {}
    for up, down, weight in zip(edges.up.tolist(), edges.down.tolist(), edges.weight.tolist(),
                                strict=True):  # fmt: skip
        into.setdefault(down, []).append((up, weight))
    nodes = [(node, _tanh(), sum, 0.0, 1.0, links) for node, links in sorted(into.items())]
    network = FeedForwardNetwork(list(range(WIDTH)), sorted(into)[-WIDTH:], nodes)
    samples = x.tolist()
    return lambda: [network.activate(sample) for sample in samples]


def _tanh() -> Callable[[float], float]:
    import math

    return math.tanh
