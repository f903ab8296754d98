"""Receptive fields: the input nodes that a node can see, read off the graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.graph.node import Node


@dataclass(frozen=True)
class ReceptiveField:
    """What a node sees of the inputs.

    Attributes
    ----------
    label : str
        The node.
    seen : dict of str to array of bool
        For each input layer it can see: which of its nodes, in the layer's shape.
    """

    label: str
    seen: dict[str, NDArray[np.bool_]] = field(repr=False)

    def __len__(self) -> int:
        return sum(int(each.sum()) for each in self.seen.values())

    def box(self, name: str) -> tuple[slice, ...]:
        """Return the smallest box of an input layer that holds everything seen."""
        places = np.nonzero(self.seen[name])
        return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)

    def __str__(self) -> str:
        lines = []
        for name, seen in self.seen.items():
            box = self.box(name)
            size = " x ".join(str(part.stop - part.start) for part in box)
            where = ", ".join(f"{part.start}..{part.stop - 1}" for part in box)
            lines.append(f"{self.label} sees {int(seen.sum())} of {seen.size} nodes of {name}: "
                         f"{size} ({where})")  # fmt: skip
        return "\n".join(lines) or f"{self.label} sees no input"


def receptive_field(node: Node) -> ReceptiveField:
    """Return the exact input nodes that a node can see, at any step of time.

    Parameters
    ----------
    node : Node
        Of a library layer or made by hand, in a network.

    Raises
    ------
    GraphError
        If it is no node, or belongs to no network.

    Examples
    --------
    Two convolutions of 3 x 3 see what one of 5 x 5 sees:

    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((9, 9, 1)), ng.Conv2D(2, 3), ng.Conv2D(4, 3)])
    >>> print(ng.receptive_field(net.layer("conv2d_1")[2, 2, 0]))
    conv2d_1[2, 2, 0] sees 25 of 81 nodes of input: 5 x 5 x 1 (2..6, 2..6, 0..0)
    """
    if not isinstance(node, Node):
        raise GraphError(
            f"receptive_field: got {node!r}, expected a node such as net.layer('conv2d')[3, 4, 0]"
        )
    network = node.layer.network
    if network is None:
        raise GraphError(f"{node.label}: put the node into a network first")
    wanted: dict[int, set[int]] = {id(node.layer): {node.index}}
    done: dict[int, set[int]] = {}
    layers: dict[int, Layer] = {id(layer): layer for layer in network.all_layers}
    while True:
        waiting = [key for key, nodes in wanted.items() if nodes - done.get(key, set())]
        if not waiting:
            break
        for key in waiting:
            fresh = wanted[key] - done.get(key, set())
            done.setdefault(key, set()).update(fresh)
            for index in fresh:
                _spread(layers[key], index, wanted)
    seen = {}
    for key, nodes in wanted.items():
        layer = layers[key]
        inputs = _inputs_among(layer, nodes)
        if inputs is not None:
            seen[layer.name] = inputs
    return ReceptiveField(node.label, seen)


def _spread(layer: Layer, index: int, wanted: dict[int, set[int]]) -> None:
    """Add what feeds one node to what is wanted."""
    for bundle in layer.incoming:
        wanted.setdefault(id(bundle.source), set()).update(bundle.into(index)[0].tolist())
    if layer.members is not None or index in layer._handles:
        for connection in layer.own_node(index)._upstream:
            up = connection.upstream_node
            wanted.setdefault(id(up.layer), set()).add(up.index)


def _inputs_among(layer: Layer, nodes: set[int]) -> NDArray[np.bool_] | None:
    """Return which nodes of a layer are inputs and seen; None if none is."""
    if layer.members is not None:
        nodes = {index for index in nodes if type(layer.members[index]).__name__ == "InputNode"}
    elif layer.role != "input":
        return None
    if not nodes:
        return None
    mask = np.zeros(layer.size, dtype=bool)
    mask[sorted(nodes)] = True
    return mask.reshape(layer.shape)
