"""The rows of the benchmark in neurograph."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import neurograph as ng
from neurograph.bench.rows import LEVELS, WIDTH, Row, Spec, random_edges
from neurograph.compiler.executable import PREDICT

Layer = Any


def make(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step."""
    x, y = row.data()
    network = network_of(row)
    loss = "categorical_crossentropy" if row.goal == "classes" else "mse"
    if row.optimizer == "sgd":
        loss = "sse"
    model = network.compile(f"{row.optimizer}(0.0001)", loss)
    model.train_on_batch(x, y)
    inputs, targets = [x], [y]
    if row.forward_only:
        return lambda: model.run_forward(PREDICT, inputs)
    return lambda: model.step(inputs, targets)


def network_of(row: Row) -> ng.Network:
    """Return the network of a row."""
    if row.edges:
        return sparse_network(row.edges)
    last = "softmax" if row.goal == "classes" else None
    if row.optimizer == "sgd":
        last = "sigmoid"
    source = ng.Input(row.input_shape)
    output = ng.Dense(row.outputs, last)(_path(row.layers, source))
    return ng.Network(inputs=source, outputs=output, seed=0)


def _path(layers: Spec, x: Layer) -> Layer:
    for each in layers:
        x = _layer(each, x)
    return x


def _layer(spec: Spec, x: Layer) -> Layer:
    kind, *sizes = spec
    if kind == "residual":
        return ng.Add()([_path(sizes[0], x), _path(sizes[1], x)])
    if kind == "branches":
        return ng.Concatenate()([_path(path, x) for path in sizes])
    return _recipe(kind, sizes)(x)


def _recipe(kind: str, sizes: list[Any]) -> Any:
    if kind == "dense":
        return ng.Dense(sizes[0], sizes[1] or None)
    if kind == "conv":
        filters, size, stride = sizes
        return ng.Conv2D(filters, size, stride, padding=size // 2, use_bias=False)
    if kind == "conv+":
        filters, size, padding = sizes
        return ng.Conv2D(filters, size, padding=padding, activation="relu")
    if kind == "maxpool":
        return ng.MaxPooling2D(sizes[0], sizes[1], "same" if sizes[1] == 1 else "valid")
    if kind in ("rnn", "lstm", "gru"):
        recipe = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}[kind]
        return getattr(ng, recipe)(sizes[0], return_sequences=sizes[1])
    if kind == "bilstm":
        return ng.Bidirectional(ng.LSTM(sizes[0], return_sequences=True))
    plain: dict[str, Callable[[], Any]] = {
        "norm": ng.BatchNormalization,
        "relu": lambda: ng.Activation("relu"),
        "meanpool": ng.GlobalAveragePooling2D,
        "flatten": ng.Flatten,
    }
    return plain[kind]()


def sparse_network(count: int) -> ng.Network:
    """Return the random graph, made connection by connection."""
    edges = random_edges(count)
    inputs: list[ng.Node] = [ng.InputNode() for _ in range(WIDTH)]
    nodes = inputs + [ng.Node("tanh") for _ in range(LEVELS * WIDTH)]
    for up, down, weight in zip(
        edges.up.tolist(), edges.down.tolist(), edges.weight.tolist(), strict=True
    ):
        ng.Connection(nodes[up], nodes[down], weight)
    return ng.Network(inputs=inputs, outputs=nodes[-WIDTH:])


def building(counts: tuple[int, ...] = (10_000, 100_000, 1_000_000)) -> list[dict[str, float]]:
    """Return seconds to make so many connections by hand, the network, and its first step."""
    found = []
    for count in counts:
        width = max(10, count // 1000)
        rng = np.random.default_rng(0)
        start = time.perf_counter()
        levels: list[list[ng.Node]] = [[ng.InputNode() for _ in range(width)]]
        levels += [[ng.Node("tanh") for _ in range(width)] for _ in range(LEVELS)]
        each = count // LEVELS - width
        for below, level in pairwise(levels):
            for node in level:
                ng.Connection(below[0], node, 0.1)
            picks = rng.integers(width, size=(each, 2)).tolist()
            for up, down in picks:
                ng.Connection(below[up], level[down], 0.1)
        made = time.perf_counter()
        network = ng.Network(inputs=levels[0], outputs=levels[-1])
        gathered = time.perf_counter()
        model = network.compile("sgd(0.01)", "mse")
        model.train_on_batch(np.zeros((1, width)), np.zeros((1, width)))
        done = time.perf_counter()
        row = {"connections": float(len(network.connections)), "made": made - start}
        found.append(row | {"network": gathered - made, "compiled": done - gathered})
    return found
