"""The rows of the benchmark in Keras, on whichever of its backends is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from neurograph.bench.rows import Row, Spec


def backend() -> str:
    """Choose the backend: what the environment says, else the first that is installed."""
    known = ("tensorflow", "jax", "torch")
    found = next((name for name in known if find_spec(name) is not None), "numpy")
    return os.environ.setdefault("KERAS_BACKEND", found)


def make(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step."""
    backend()
    import keras

    if os.environ["KERAS_BACKEND"] == "torch":
        import torch

        torch.set_num_threads(threads)
    x, y = row.data()
    source = keras.Input(row.input_shape)
    last = "softmax" if row.goal == "classes" else ("sigmoid" if row.optimizer == "sgd" else None)
    output = keras.layers.Dense(row.outputs, last)(_path(row.layers, source, keras.layers))
    model = keras.Model(source, output)
    optimizer = {"rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}[row.optimizer]
    loss = "categorical_crossentropy" if row.goal == "classes" else "mse"
    model.compile(optimizer(1e-4), loss)
    return lambda: model.train_on_batch(x, y)


def _path(layers: Spec, x: Any, made: Any) -> Any:
    for each in layers:
        x = _layer(each, x, made)
    return x


def _layer(spec: Spec, x: Any, made: Any) -> Any:
    kind, *sizes = spec
    if kind == "residual":
        return made.Add()([_path(sizes[0], x, made), _path(sizes[1], x, made)])
    if kind == "branches":
        return made.Concatenate()([_path(path, x, made) for path in sizes])
    if kind == "conv":
        filters, size, stride = sizes
        if size > 1:
            x = made.ZeroPadding2D(size // 2)(x)
        return made.Conv2D(filters, size, stride, use_bias=False)(x)
    if kind == "conv+":
        filters, size, padding = sizes
        if padding:
            x = made.ZeroPadding2D(padding)(x)
        return made.Conv2D(filters, size, activation="relu")(x)
    if kind == "dense":
        return made.Dense(sizes[0], sizes[1] or None)(x)
    if kind == "maxpool":
        return made.MaxPooling2D(sizes[0], sizes[1], "same" if sizes[1] == 1 else "valid")(x)
    if kind == "bilstm":
        return made.Bidirectional(made.LSTM(sizes[0], return_sequences=True))(x)
    if kind in ("rnn", "lstm", "gru"):
        recipe = {"rnn": made.SimpleRNN, "lstm": made.LSTM, "gru": made.GRU}[kind]
        return recipe(sizes[0], return_sequences=sizes[1])(x)
    plain = {"norm": made.BatchNormalization, "relu": made.ReLU, "flatten": made.Flatten}
    return (plain | {"meanpool": made.GlobalAveragePooling2D})[kind]()(x)
