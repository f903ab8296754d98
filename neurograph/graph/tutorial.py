"""The tutorial's networks: fully connected sigmoid layers, a ConstNode at the end of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurograph.errors import OptionError
from neurograph.graph.bundles import BiasConnections, DenseConnections
from neurograph.graph.layer import Layer
from neurograph.parameter import Array, Parameter


class TutorialLayer(Layer):
    """A layer whose nodes are called (layer-index), as the tutorial prints them."""

    number = 0

    def node_label(self, index: int) -> str:
        """Return ``(1-0)`` for node 0 of layer 1; a ConstNode counts as the last."""
        place = index if self.role != "const" else self.config["after"]
        return f"({self.number}-{place})"


def fully_connected(sizes: Sequence[int]) -> list[Layer]:
    """Return the layers of ``Network([784, 300, 10])``, first to last.

    Raises
    ------
    OptionError
        If there are fewer than two sizes, or one is not a positive whole number.
    """
    if len(sizes) < 2 or any(int(size) != size or size < 1 for size in sizes):
        raise OptionError(
            f"Network({list(sizes)}): give at least two layer sizes, each a whole number above 0"
        )
    layers: list[Layer] = []
    for number, size in enumerate(sizes):
        role = "units" if layers else "input"
        activation = "sigmoid" if layers else None
        layer = TutorialLayer(
            (int(size),), kind="layer", name=f"layer_{number}", role=role, activation=activation
        )
        const = TutorialLayer((1,), kind="const", name=f"const_{number}", role="const")
        const.config["after"] = layer.size
        layer.number = const.number = number
        layer.const, const.root = const, layer
        if layers:
            _join(layers[-1], layer)
        layers.append(layer)
    return layers


def _join(below: Layer, layer: Layer) -> None:
    kernel = Parameter(shape=(below.size, layer.size), name="kernel", initializer=small)
    bias = Parameter(shape=(layer.size,), name="bias", initializer=small)
    layer.parameters = {"kernel": kernel, "bias": bias}
    DenseConnections(below, layer, kernel)
    assert below.const is not None
    BiasConnections(below.const, layer, bias)


def small(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw the tutorial's initial weights: uniform in -0.1..0.1."""
    return generator.uniform(-0.1, 0.1, shape)
