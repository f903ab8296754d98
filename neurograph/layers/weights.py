"""All weights of a network as a list of arrays, in the order in which Keras gives them.

Keras lists the operations of a model by depth, the distance to the outputs, the farthest first;
equals in the order in which a walk from the outputs meets them. Layer by layer that is the order
of building; where branches have different lengths it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, ShapeError, short
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.parameter import Parameter

Array = NDArray[Any]


def get_weights(network: Network) -> list[Array]:
    """Return copies of all weights, in Keras's order and layouts, hand-made ones last.

    Examples
    --------
    >>> from neurograph.layers.core import Dense, Input
    >>> net = Network([Input((4,)), Dense(3), Dense(2, use_bias=False)])
    >>> [each.shape for each in get_weights(net)]
    [(4, 3), (3,), (3, 2)]
    """
    return [np.array(parameter.value) for parameter in ordered_parameters(network).values()]


def set_weights(network: Network, weights: Sequence[ArrayLike]) -> None:
    """Set all weights, given in the order of ``get_weights``; nothing changes if one is wrong.

    Raises
    ------
    ShapeError
        If their number or a shape is not that of the network.
    DataError
        If a weight is NaN or infinite.
    """
    parameters = ordered_parameters(network)
    if not isinstance(weights, Iterable):
        raise DataError(
            f"network {network.name!r}: expected a list of weights, got {short(weights)}"
        )
    arrays = [np.asarray(each) for each in weights]
    if len(arrays) != len(parameters):
        names = ", ".join([*parameters][:6]) + (", …" if len(parameters) > 6 else "")
        raise ShapeError(
            f"network {network.name!r}: got {len(arrays)} arrays of weights, it has "
            f"{len(parameters)}: {names}"
        )
    for (name, parameter), array in zip(parameters.items(), arrays, strict=True):
        if array.shape != parameter.shape:
            raise ShapeError(
                f"network {network.name!r}: {name!r} has shape {parameter.shape}, got weights of "
                f"shape {array.shape}"
            )
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise DataError(f"network {network.name!r}: the weights for {name!r} are not finite")
    for parameter, array in zip(parameters.values(), arrays, strict=True):
        parameter.value = array


def ordered_parameters(network: Network) -> dict[str, Parameter]:
    """Return the parameters by name, in Keras's order."""
    named = {id(parameter): (name, parameter) for name, parameter in network.parameters.items()}
    members: dict[int, list[Layer]] = {}
    halves = _halves(_sources(network))
    for layer in network.all_layers:
        members.setdefault(id(halves.get(id(layer.top), layer.top)), []).append(layer)
    found = {
        id(parameter): named[id(parameter)]
        for root in operations(network)
        for layer in members[id(root)]
        for parameter in layer.parameters.values()
    }
    return dict([*found.values(), *(row for key, row in named.items() if key not in found)])


def operations(network: Network) -> list[Layer]:
    """Return the layers that recipes made, without their parts, in Keras's order.

    Of layers that share their weights only the first made is there, as one operation.
    """
    sources = _sources(network)
    first = _first_of_shared(list(sources.values()), _halves(sources))
    order = _walk([port.layer.top for port in network.outputs], sources)
    met = {id(layer): place for place, layer in enumerate(order.met)}
    depths: dict[int, int] = {}
    shared: dict[int, int] = {}
    for layer in reversed(order.finished):
        operation = id(first[id(layer)])
        depth = max(depths.get(id(layer), 0), shared.get(operation, 0))
        depths[id(layer)] = shared[operation] = depth
        for source in sources[id(layer)][1]:
            depths[id(source)] = max(depth + 1, depths.get(id(source), 0))
    places: dict[int, int] = {}
    for layer in order.met:
        places.setdefault(id(first[id(layer)]), met[id(layer)])
    found = {id(first[id(layer)]): first[id(layer)] for layer in order.met}
    return sorted(found.values(), key=lambda layer: (-shared[id(layer)], places[id(layer)]))


Sources = dict[int, tuple[Layer, list[Layer]]]


def _sources(network: Network) -> Sources:
    """Return, for each layer that a recipe made, those it was called on."""
    found: Sources = {id(layer.top): (layer.top, []) for layer in network.all_layers}
    for layer in network.all_layers:
        root = layer.top
        known = found[id(root)][1]
        for bundle in layer.incoming:
            source = bundle.source.top
            if source is not root and not any(each is source for each in known):
                known.append(source)
    return found


def _halves(sources: Sources) -> dict[int, Layer]:
    """Return the forward layer of each backward one: the two that ``Bidirectional`` left apart."""
    ahead: dict[tuple[int, ...], list[Layer]] = {}
    for layer, below in sources.values():
        if layer.kind.startswith("forward_"):
            ahead.setdefault(tuple(map(id, below)), []).append(layer)
    found = {}
    for layer, below in sources.values():
        waiting = ahead.get(tuple(map(id, below)))
        if layer.kind.startswith("backward_") and waiting:
            found[id(layer)] = waiting.pop(0)
    return found


def _first_of_shared(
    rows: list[tuple[Layer, list[Layer]]], halves: dict[int, Layer]
) -> dict[int, Layer]:
    owners: dict[int, Layer] = {}
    first: dict[int, Layer] = {}
    for layer, _ in rows:
        keys = [id(parameter) for parameter in layer.parameters.values()]
        one = halves.get(id(layer), layer)
        first[id(layer)] = next((owners[key] for key in keys if key in owners), one)
        for key in keys:
            owners.setdefault(key, first[id(layer)])
    return first


class _Walk:
    def __init__(self) -> None:
        self.met: list[Layer] = []
        self.finished: list[Layer] = []


def _walk(ends: list[Layer], sources: Sources) -> _Walk:
    """Go depth first from the outputs to the inputs; note when layers are met and finished."""
    walk = _Walk()
    seen: set[int] = set()
    for end in ends:
        stack: list[tuple[Layer, bool]] = [(end, False)]
        while stack:
            layer, done = stack.pop()
            if done:
                walk.finished.append(layer)
            elif id(layer) not in seen:
                seen.add(id(layer))
                walk.met.append(layer)
                stack.append((layer, True))
                stack.extend((source, False) for source in reversed(sources[id(layer)][1]))
    return walk
