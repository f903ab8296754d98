"""The rows of the benchmark: networks described so that every library can build them.

A description is a tuple of layers, each a tuple that begins with its kind:

=====================================  ===========================================================
``("dense", units, activation)``       activation "relu", "tanh", "sigmoid" or ""
``("conv", filters, size, stride)``    no bias, padded by size // 2
``("conv+", filters, size, padding)``  with bias and relu; padding in pixels
``("norm",)``, ``("relu",)``           batch normalisation, activation
``("maxpool", size, stride)``          padded by half the size where the stride is 1
``("meanpool",)``, ``("flatten",)``    over all places; to a vector
``("residual", path, shortcut)``       the sum of two paths; an empty one hands on what came
``("branches", path, path, …)``        side by side, their channels joined
``("rnn" | "lstm" | "gru", units, every_step)``  recurrent; every step's output or the last
``("bilstm", units)``                  in both directions, every step
=====================================  ===========================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Spec = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One network, the size of its batch, and how it is trained.

    Attributes
    ----------
    name, title : str
    input_shape : tuple of int
        Of a sample; (steps, features) for sequences, (height, width, channels) for pictures.
    batch : int
    layers : tuple of layers
    outputs : int
        Classes, or numbers; the last layer has so many units.
    goal : {"classes", "squares"}
        Softmax with cross-entropy, or the mean squared error (SSE / 2 for SGD).
    optimizer : {"rmsprop", "sgd"}
    every_step : bool
        Whether sequences have a target for every step.
    edges : int
        Connections of a random graph, in place of layers.
    forward_only : bool
    """

    name: str
    title: str
    input_shape: tuple[int, ...]
    batch: int
    layers: Spec = ()
    outputs: int = 10
    goal: Literal["classes", "squares"] = "classes"
    optimizer: Literal["rmsprop", "sgd"] = "rmsprop"
    every_step: bool = False
    edges: int = 0
    forward_only: bool = False

    @property
    def recurrent(self) -> bool:
        """Whether samples are sequences."""
        return any(each[0] in ("rnn", "lstm", "gru", "bilstm") for each in self.layers)

    def data(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a batch of random samples and targets (one-hot for classes)."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, *self.input_shape)).astype(np.float32)
        lead = (self.batch, *(self.input_shape[:1] if self.every_step else ()))
        if self.goal == "squares":
            return x, rng.random((*lead, self.outputs)).astype(np.float32)
        labels = rng.integers(self.outputs, size=lead)
        return x, np.eye(self.outputs, dtype=np.float32)[labels]


def _vgg() -> Spec:
    layers: list[Spec] = []
    for filters in (64, 64, 0, 128, 128, 0, 256, 256, 0):
        block = [("conv", filters, 3, 1), ("norm",), ("relu",)] if filters else [("maxpool", 2, 2)]
        layers += block
    return (*layers, ("flatten",), ("dense", 256, "relu"))


def _resnet18() -> Spec:
    layers: list[Spec] = [("conv", 64, 3, 1), ("norm",), ("relu",)]
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            path = (("conv", filters, 3, stride), ("norm",), ("relu",), ("conv", filters, 3, 1),
                    ("norm",))  # fmt: skip
            shortcut = (("conv", filters, 1, stride), ("norm",)) if stride > 1 else ()
            layers += [("residual", path, shortcut), ("relu",)]
    return (*layers, ("meanpool",))


def _inception() -> Spec:
    def unit(filters: int, size: int, stride: int = 1) -> Spec:
        return (("conv", filters, size, stride), ("norm",), ("relu",))

    blocks = [
        (
            "branches",
            unit(width, 1, stride),
            (*unit(width, 1, stride), *unit(width, 3)),
            (*unit(width, 1, stride), *unit(width, 5)),
            (("maxpool", 3, 1), *unit(width, 1, stride)),
        )
        for width in (16, 32)
        for stride in (2, 1)
    ]
    return (*unit(16, 3), *blocks, ("meanpool",))


def _two(kind: str) -> Spec:
    return ((kind, 80, True), (kind, 100, False))


LENET: Spec = (
    ("conv+", 6, 5, 2),
    ("maxpool", 2, 2),
    ("conv+", 16, 5, 0),
    ("maxpool", 2, 2),
    ("flatten",),
    ("dense", 120, "relu"),
    ("dense", 84, "relu"),
)
_STOCK: dict[str, Any] = {"input_shape": (60, 1), "batch": 64, "outputs": 1, "goal": "squares"}
_LIST = (
    Row("tiny", "3-4-2", (3,), 8, (("dense", 4, "relu"),), 2),
    Row("iris", "4-16-3", (4,), 150, (("dense", 16, "relu"),), 3),
    Row("mlp", "784-512-10", (784,), 128, (("dense", 512, "relu"),)),
    Row(
        "online", "784-300-10 sigmoid, SSE, SGD", (784,), 1, (("dense", 300, "sigmoid"),),
        goal="squares", optimizer="sgd",
    ),
    Row(
        "wide", "1024-2048-2048-1000", (1024,), 256,
        (("dense", 2048, "relu"), ("dense", 2048, "relu")), 1000,
    ),
    Row("lenet", "LeNet-5, 28x28x1", (28, 28, 1), 128, LENET),
    Row("vgg", "VGG-like with batch norm, 32x32x3", (32, 32, 3), 64, _vgg()),
    Row("resnet", "ResNet-18, CIFAR stem", (32, 32, 3), 32, _resnet18()),
    Row("inception", "two Inception blocks, 32x32x3", (32, 32, 3), 64, _inception()),
    Row("rnn", "SimpleRNN 80+100, 60 steps", layers=_two("rnn"), **_STOCK),
    Row("lstm", "LSTM 80+100, 60 steps", layers=_two("lstm"), **_STOCK),
    Row("gru", "GRU 80+100, 60 steps", layers=_two("gru"), **_STOCK),
    Row(
        "char", "character LSTM 256, 64 steps, 64 symbols", (64, 64), 32,
        (("lstm", 256, True),), 64, every_step=True,
    ),
    Row(
        "bidirectional", "bidirectional LSTM 128, 50 steps, 40 features", (50, 40), 32,
        (("bilstm", 128),), every_step=True,
    ),
    Row(
        "sparse", "20,000 random connections in 20 levels, tanh", (100,), 256, outputs=100,
        goal="squares", edges=20_000,
    ),
    Row(
        "sparse-forward", "the same, forward only", (100,), 256, outputs=100, goal="squares",
        edges=20_000, forward_only=True,
    ),
)  # fmt: skip
ROWS = {row.name: row for row in _LIST}
LEVELS, WIDTH = 20, 100


@dataclass(frozen=True, slots=True)
class Edges:
    """A random graph in levels: connection k goes from node ``up[k]`` to ``down[k]``.

    Nodes 0..99 are the inputs, each further hundred a level; connections are sorted by level.
    """

    up: NDArray[np.int64]
    down: NDArray[np.int64]
    weight: NDArray[np.float32]

    def into_level(self, level: int) -> slice:
        """Return the connections into a level, counted from 1."""
        ends = np.searchsorted(self.down // WIDTH, [level, level + 1])
        return slice(int(ends[0]), int(ends[1]))


def random_edges(count: int) -> Edges:
    """Return connections from any earlier level, at least one into every node, none twice."""
    rng = np.random.default_rng(0)
    pairs: set[tuple[int, int]] = set()
    for level in range(1, LEVELS + 1):
        goal = len(pairs) + max(math.ceil(count / LEVELS), WIDTH)
        for node in range(WIDTH):
            pairs.add((int(rng.integers(level * WIDTH)), level * WIDTH + node))
        while len(pairs) < goal:
            up, node = int(rng.integers(level * WIDTH)), int(rng.integers(WIDTH))
            pairs.add((up, level * WIDTH + node))
    table = np.array(sorted(pairs, key=lambda pair: (pair[1], pair[0])), np.int64)
    weight = (rng.standard_normal(len(table)) * 0.3).astype(np.float32)
    return Edges(table[:, 0].copy(), table[:, 1].copy(), weight)
