"""Clock: the sequences of a network that share their steps of time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neurograph.errors import GraphError, ShapeError
from neurograph.graph.clocks import clocks as groups_of
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.interpret.timeline import Timeline


class Clock:
    """Layers that go through time together: ``at(t)`` makes them all show step t."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        self.steps = 0

    def start(self, batch: tuple[int, ...], steps: int, dtype: Any = np.float64) -> None:
        """Give every layer a fresh timeline."""
        self.steps = steps
        for layer in self.layers:
            Timeline(layer, batch, steps, dtype)

    def at(self, step: int | None) -> None:
        """Show one step, or all of them."""
        for layer in self.layers:
            layer.timeline.at(step)

    def order(self, direction: int) -> Iterable[int]:
        """Return the steps in order: from the first, or for direction -1 from the last."""
        return range(self.steps) if direction >= 0 else range(self.steps - 1, -1, -1)

    def length(self, network: Network, given: dict[int, int]) -> int:
        """Return the number of steps, from the inputs, from a bundle into time or from a layer.

        Parameters
        ----------
        network : Network
        given : dict
            ``id(layer) -> steps`` of the input layers.

        Raises
        ------
        ShapeError
            If two of them disagree.
        GraphError
            If nothing says it.
        """
        said: list[tuple[str, int]] = []
        for layer in self.layers:
            if id(layer) in given:
                said.append((layer.name, given[id(layer)]))
            if layer.steps is not None:
                said.append((layer.name, layer.steps))
            said += [
                (bundle.label, bundle.source.size // layer.size)
                for bundle in layer.incoming
                if not bundle.source.sequence and bundle.step_of(0, 0) is not None
            ]
        if not said:
            raise GraphError(
                f"network {network.name!r}: nothing says how many steps {self.layers[0].name!r} "
                f"goes through; feed it a sequence, or give the layer its number of steps"
            )
        for name, steps in said:
            if steps != said[0][1]:
                raise ShapeError(
                    f"network {network.name!r}: {said[0][0]!r} has {said[0][1]} steps of time and "
                    f"{name!r} has {steps}; they go through time together"
                )
        return said[0][1]


def clocks(network: Network) -> list[Clock]:
    """Return the clocks of a network: sequences joined by connections have one in common."""
    return [Clock(layers) for layers in groups_of(network)]
