"""Ends: what a network is made from, and the layers and nodes between its inputs and outputs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError, OptionError, short
from neurograph.graph.layer import Layer
from neurograph.graph.node import Node
from neurograph.graph.tutorial import fully_connected


def ends_of(layers: Sequence[Any] | None, inputs: Any, outputs: Any) -> tuple[list[Any], list[Any]]:
    """Return the inputs and the outputs that the arguments of ``Network`` mean.

    Raises
    ------
    OptionError, GraphError
        Too much or too little is given, or what is given are no layers.
    """
    if layers is None:
        if inputs is None or outputs is None:
            raise OptionError("Network: give a list of layers, or both inputs= and outputs=")
        return _as_list("inputs", inputs), _as_list("outputs", outputs)
    if inputs is not None or outputs is not None:
        raise OptionError("Network: give a list of layers, or inputs= and outputs=, not both")
    if not isinstance(layers, Iterable):
        raise OptionError(
            f"Network({short(layers)}): give a list of layer sizes, or of ng.Input(…) and layers"
        )
    layers = list(layers)
    if not layers:
        raise OptionError("Network([]): give layer sizes, or ng.Input(…) and layers")
    if all(isinstance(each, (int, np.integer)) for each in layers):
        built = fully_connected([int(each) for each in layers])
        return [built[0]], [built[-1]]
    first = layers[0]
    if not isinstance(first, Layer):
        raise GraphError(
            f"Network: the first of the layers is {type(first).__name__}; start with "
            f"ng.Input(shape)"
        )
    last: Any = first
    for recipe in layers[1:]:
        if not callable(recipe):
            raise GraphError(f"Network: {short(recipe)} is not a layer of neurograph")
        last = recipe(last)
    return [first], _as_list("layers", last)


def _as_list(what: str, ends: Any) -> list[Any]:
    several = list(ends) if isinstance(ends, (list, tuple)) else [ends]
    wrong = [type(end).__name__ for end in several if not isinstance(end, (Layer, Node))]
    if wrong or not several:
        got = wrong[0] if wrong else "nothing"
        raise GraphError(
            f"Network: {what} has {got}, expected nodes, or what ng.Input(…) and layers return"
        )
    return several


def depth_of(layer: Layer) -> int:
    """Return of how many layers, one inside the other, a layer is a part."""
    return 0 if layer.root is None else 1 + depth_of(layer.root)


def upstream_layers(ends: list[Layer]) -> list[Layer]:
    """Return the layers that the given ones need, in the order they were made."""
    seen = {id(layer): layer for layer in ends}
    stack = list(seen.values())
    while stack:
        layer = stack.pop()
        needed = [bundle.source for bundle in layer.incoming]
        others = (layer.const, layer.initial, layer.mask)
        needed += [each for each in others if isinstance(each, Layer)]
        needed += layer.parts.values()
        if layer.root is not None:
            needed.append(layer.root)
        for other in needed:
            if id(other) not in seen:
                seen[id(other)] = other
                stack.append(other)
    return sorted(seen.values(), key=lambda layer: layer.serial)


class Names:
    """Gives out free names: the base, then ``base_1``, ``base_2``, …, each in constant time."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def free(self, base: str, taken: Container[str]) -> str:
        """Return the first numbered form of ``base`` that is not taken."""
        number = self._next.get(base, 0)
        name = f"{base}_{number}" if number else base
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        self._next[base] = number
        return name
