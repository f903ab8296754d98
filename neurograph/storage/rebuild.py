"""Building a network again from its structure, checking every field on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, NeurographError
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.parameter import Parameter
from neurograph.storage.randomness import restored_generator
from neurograph.storage.rebuild_layers import build_layer, link_layer
from neurograph.storage.rebuild_nodes import build_connections, build_node, read_initial
from neurograph.storage.rebuild_parameters import build_parameters
from neurograph.storage.record import Record
from neurograph.storage.registry import make_bundle
from neurograph.storage.values import Json, Revived
from neurograph.storage.weights import named_parameters

Array = NDArray[Any]
MOST_NODES = 2**31
# what constructors may raise when options that passed as JSON make no sense together
_NONSENSE = (
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
)


def network_of(
    structure: Json, weights: Mapping[str, Array], arrays: Mapping[str, Array] | None = None
) -> Network:
    """Return the network that a structure describes, with the given weights as its own.

    Parameters
    ----------
    structure : dict
        What ``structure_of`` returned.
    weights : mapping of name to array
        The values of all parameters; the network takes the arrays over, without copying.
    arrays : mapping, optional
        The arrays that ``structure_of`` put apart.

    Raises
    ------
    FormatError
        Something is missing or makes no sense; the message says what.
    DataError
        A weight is NaN or infinite.
    UnknownNameError
        An activation is not registered here.
    GraphError
        There is a cycle without delay.

    Examples
    --------
    >>> from neurograph.storage.structure import structure_of
    >>> from neurograph.storage.weights import weight_arrays
    >>> net = Network([2, 3, 1])
    >>> twin = network_of(structure_of(net), weight_arrays(net))
    >>> print(twin)
    network: 2 -> 1, 2 layers with weights, 13 connections, 13 parameters
    """
    try:
        return _Builder(Record("the structure", structure), weights, Revived(arrays)).network()
    except NeurographError:
        raise
    except _NONSENSE as error:
        raise FormatError(
            f"the structure makes no sense: {type(error).__name__}: {error}"
        ) from error


class _Builder:
    """Builds one network; what was built so far is found by number."""

    def __init__(self, record: Record, weights: Mapping[str, Array], revived: Revived) -> None:
        self.record = record
        self.weights = weights
        self.revived = revived
        self.parameters: list[Parameter] = []
        self.layers: list[Layer] = []
        self.nodes: list[Node] = []

    def network(self) -> Network:
        record = self.record
        self.parameters = build_parameters(record, self.weights, self.revived)
        rows = list(record.records("layers", "layer"))
        self.layers = [self._layer(row) for row in rows]
        if sum(layer.size for layer in self.layers) > MOST_NODES:
            raise FormatError(f"the structure: its layers have more than {MOST_NODES} nodes")
        for row, layer in zip(rows, self.layers, strict=True):
            self._join(row, layer)
        _check_roots(self.layers)
        self.nodes = [build_node(row, self.revived) for row in record.records("nodes", "node")]
        edges = Record("the connections", record.fields.get("edges"))
        wired = build_connections(edges, self.layers, self.nodes, self.parameters, self.revived)
        own = None
        if "own" in edges:
            own = self.parameters[edges.whole("own", below=len(self.parameters))]
        network = Network.assembled(
            record.text("name"),
            list(self.layers),
            self.nodes,
            wired=wired,
            weights=own,
            inputs=self._ends("inputs"),
            outputs=self._ends("outputs"),
        )
        self._finish(network, own)
        return network

    def _layer(self, row: Record) -> Layer:
        shape = row.sizes("shape")
        if math.prod(shape) > MOST_NODES:
            raise FormatError(f"{row.what}: its shape {shape} has more than {MOST_NODES} nodes")
        return build_layer(row, self.parameters, self.revived)

    def _join(self, row: Record, layer: Layer) -> None:
        """Give a layer its links to other layers and the bundles that feed it."""
        link_layer(row, layer, self.layers)
        if "initial" in row and "initial_layer" not in row:
            layer.initial = read_initial(row, layer.shape, self.revived)
        for bundle in row.records("incoming", f"{row.what}: bundle"):
            self._bundle(bundle, layer)

    def _bundle(self, row: Record, target: Layer) -> None:
        parameter = None
        if "parameter" in row:
            parameter = self.parameters[row.whole("parameter", below=len(self.parameters))]
        source = self.layers[row.whole("source", below=len(self.layers))]
        options = self.revived(row.mapping("options"))
        delay = row.whole("delay", least=-(2**31), below=2**31) if "delay" in row else 0
        try:
            make_bundle(row.text("type"), source, target, parameter, delay, options)
        except _NONSENSE as error:
            raise FormatError(f"{row.what}: it makes no sense: {error}") from error

    def _ends(self, name: str) -> list[Layer | Node]:
        ends: list[Layer | Node] = []
        for row in self.record.records(name, name[:-1]):
            if "layer" in row:
                ends.append(self.layers[row.whole("layer", below=len(self.layers))])
            else:
                count = len(self.nodes)
                ends += [self.nodes[index] for index in row.sizes("nodes", below=count)]
        return ends

    def _finish(self, network: Network, own: Parameter | None) -> None:
        handmade = network.handmade
        if own is not None:
            handmade.table()  # moved the connections' own weights into a parameter of their own
            if handmade.weights is None or not np.array_equal(handmade.weights.value, own.value):
                raise FormatError("the connections: their own weights are not in order")
            handmade.weights.trainable, handmade.weights.frozen = own.trainable, own.frozen
            handmade.weights.learning_rate_factor = own.learning_rate_factor
        group = Record("the group of hand-made nodes", self.record.fields.get("group"))
        handmade.group.name = group.text("name") if self.nodes else ""
        handmade.group.sequence = group.flag("sequence")
        handmade.group.steps = group.whole("steps") if "steps" in group else None
        network.generator = restored_generator(self.revived(self.record.mapping("generator")))
        names = [parameter.name for parameter in self.parameters]
        if list(named_parameters(network)) != names:
            raise FormatError("the structure: its parameters do not belong to its layers")
        network.stages()


def _check_roots(layers: list[Layer]) -> None:
    for layer in layers:
        seen: set[int] = set()
        part: Layer | None = layer
        while part is not None:
            if id(part) in seen:
                raise FormatError(f"layer {layer.name!r} is a part of itself")
            seen.add(id(part))
            part = part.root
