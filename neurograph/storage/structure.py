"""The structure of a network as plain JSON values: all that is needed to build it again.

Everything is referred to by its number: parameters in the order of ``named_parameters``, layers in
that of ``network.all_layers``, hand-made nodes in that of the group. The values of the parameters
are kept apart, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.functions import _SHIPPED, ACTIVATIONS, Activation
from neurograph.graph.connection import Connection
from neurograph.graph.connections import Bundle
from neurograph.graph.handmade import HandMade
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.graph.tutorial import TutorialLayer
from neurograph.layer_functions import LayerFunction, make_function
from neurograph.parameter import Parameter
from neurograph.regularizers import L1L2, Regularizer
from neurograph.storage.randomness import generator_state
from neurograph.storage.registry import bundle_name
from neurograph.storage.values import Json, Plain
from neurograph.storage.weights import named_parameters

NODE_KINDS: dict[str, type[Node]] = {"node": Node, "input": InputNode, "const": ConstNode}


def structure_of(network: Network, arrays: dict[str, NDArray[Any]] | None = None) -> Json:
    """Return the structure of a network as JSON values.

    Parameters
    ----------
    network : Network
    arrays : dict, optional
        Where arrays and long lists of indices are put instead of into the JSON.

    Raises
    ------
    GraphError, DataError
        The network cannot be built again from a file: it has a cycle without delay, a bundle,
        whole-layer function or activation of a kind that no file can name.

    Examples
    --------
    >>> structure = structure_of(Network([2, 1]))
    >>> [layer["name"] for layer in structure["layers"]]
    ['layer_0', 'const_0', 'layer_1', 'const_1']
    """
    return _Writer(network, Plain(arrays)).structure()


class _Writer:
    """Writes one network, with the numbers of its layers and parameters at hand."""

    def __init__(self, network: Network, plain: Plain) -> None:
        self.network = network
        self.plain = plain
        network.stages()  # a cycle without delay is found now, not when the file is needed
        self.parameters = named_parameters(network)
        self.parameter_numbers = {id(each): k for k, each in enumerate(self.parameters.values())}
        self.layer_numbers = {id(layer): k for k, layer in enumerate(network.all_layers)}

    def structure(self) -> Json:
        network, handmade = self.network, self.network.handmade
        layers = [layer for layer in network.all_layers if layer is not handmade.group]
        group = handmade.group
        return {
            "name": str(network.name),
            "generator": self.plain("the random generator", generator_state(network.generator)),
            "parameters": [self._parameter(*row) for row in self.parameters.items()],
            "layers": [self._layer(layer) for layer in layers],
            "nodes": [self._node(node) for node in handmade.nodes],
            "group": {"name": group.name, "sequence": group.sequence, "steps": group.steps},
            "edges": self._edges(handmade),
            "inputs": [self._port(port) for port in network.inputs],
            "outputs": [self._port(port) for port in network.outputs],
        }

    def _parameter(self, name: str, parameter: Parameter) -> Json:
        what = f"parameter {name!r}"
        row: dict[str, Any] = {
            "name": _text(what, name),
            "shape": list(parameter.shape),
            "dtype": parameter.value.dtype.name,
            "trainable": parameter.trainable,
        }
        if parameter.frozen is not None:
            row["frozen"] = self.plain(what, np.flatnonzero(parameter.frozen).tolist())
        if parameter.regularizer is not None:
            row["regularizer"] = self.plain(what, _regularizer(what, parameter.regularizer))
        factor = parameter.learning_rate_factor
        if isinstance(factor, np.ndarray) or factor != 1.0:
            row["learning_rate_factor"] = self.plain(what, factor)
        return row

    def _layer(self, layer: Layer) -> Json:
        what = f"layer {layer.name!r}"
        row: dict[str, Any] = {
            "name": _text(what, layer.name),
            "kind": layer.kind,
            "shape": list(layer.shape),
            "role": layer.role,
            "activation": _activation(what, layer.activation),
            "aggregation": layer.aggregation,
            "sequence": bool(layer.sequence),
            "steps": self.plain(what, layer.steps),
            "parameters": {key: self._number(each) for key, each in layer.parameters.items()},
            "incoming": [self._bundle(bundle) for bundle in layer.incoming],
        }
        if layer.function is not None:
            row["function"] = self._function(what, layer.function)
        if type(layer) is TutorialLayer:
            row["tutorial"] = layer.number
        elif type(layer) is not Layer:
            raise GraphError(f"{what}: a file cannot hold its type, {type(layer).__name__}")
        for key in ("root", "const", "mask"):
            other = getattr(layer, key)
            if other is not None:
                row[key] = self.layer_numbers[id(other)]
        if layer.stateful:
            row["stateful"] = True
        if layer.parts:
            row["parts"] = {key: self.layer_numbers[id(each)] for key, each in layer.parts.items()}
        if isinstance(layer.initial, Layer):
            row["initial_layer"] = self.layer_numbers[id(layer.initial)]
        elif layer.initial is not None:
            row["initial"] = self.plain(f"{what}: its initial state", layer.initial)
        if layer.config:
            row["config"] = self.plain(f"{what}: its configuration", layer.config)
        return row

    def _number(self, parameter: Parameter | None) -> int | None:
        return None if parameter is None else self.parameter_numbers[id(parameter)]

    def _bundle(self, bundle: Bundle) -> Json:
        row: dict[str, Any] = {
            "type": bundle_name(bundle),
            "source": self.layer_numbers[id(bundle.source)],
            "parameter": self._number(bundle.parameter),
            "options": self.plain(bundle.label, bundle.describe()),
        }
        if bundle.delay:
            row["delay"] = int(bundle.delay)
        return row

    def _function(self, what: str, function: LayerFunction) -> Json:
        options = function.describe()
        try:
            known: object = make_function(function.name, function.parameters, options)
        except (LookupError, TypeError):
            known = None
        if type(known) is not type(function):
            raise GraphError(
                f"{what}: {function.name!r} is a whole-layer function of your own, which no file "
                f"can hold"
            )
        return {
            "name": function.name,
            "options": self.plain(what, options),
            "parameters": {key: self._number(each) for key, each in function.parameters.items()},
        }

    def _node(self, node: Node) -> Json:
        kind = next((name for name, each in NODE_KINDS.items() if type(node) is each), None)
        what = f"node {node.label!r}"
        if kind is None:
            raise GraphError(f"{what}: a file cannot hold its type, {type(node).__name__}")
        row: dict[str, Any] = {"name": _text(what, node.name), "kind": kind}
        if kind == "node":
            row["activation"] = _activation(what, node.activation)
            row["aggregation"] = node.aggregation
        if node.position is not None:
            row["position"] = [int(each) for each in node.position]
        if not isinstance(node.initial, (int, float)) or node.initial != 0.0:
            row["initial"] = self.plain(f"{what}: its initial state", node.initial)
        return row

    def _port(self, port: Port) -> Json:
        if port.indices is None:
            return {"layer": self.layer_numbers[id(port.layer)]}
        return {"nodes": list(port.indices)}

    def _edges(self, handmade: HandMade) -> Json:
        connections = _in_order(handmade)
        columns: dict[str, list[int]] = {
            "ups": [_node_number(each.upstream_node) for each in connections],
            "downs": [_node_number(each.downstream_node) for each in connections],
            "delays": [int(each.delay) for each in connections],
            "parameters": [self.parameter_numbers[id(each.parameter)] for each in connections],
            "addresses": [int(each.index) for each in connections],
        }
        edges = {key: self.plain("the connections", each) for key, each in columns.items()}
        edges["own"] = self._number(handmade.weights)
        return edges


def _node_number(node: Node) -> int:
    return node.layer.offset + node.index


def _in_order(handmade: HandMade) -> list[Connection]:
    """Return the hand-made connections, those out of one node in the order of its list.

    A node adds up the deltas that come back in that order, so a network built again in it
    calculates the same bits. The order of what arrives follows from the nodes' numbers.
    """
    handmade.table()
    nodes = [*handmade.nodes, *handmade.anchors.values()]
    return [connection for node in nodes for connection in node._downstream]


def _activation(what: str, activation: Activation) -> str:
    """Return the activation's name, if that name can give it back."""
    name = _text(what, activation.name)
    if name in _SHIPPED and ACTIVATIONS[name] != activation:
        raise GraphError(
            f"{what}: its activation is called {name!r}, but is not the one that ships under that "
            f"name; give it a name of its own with ng.register_activation"
        )
    return name


def _text(what: str, name: object) -> str:
    try:
        if isinstance(name, str) and name.encode():
            return name
    except UnicodeEncodeError:
        pass
    raise GraphError(f"{what}: {name!r} is not a name that a file can hold; use plain text")


def _regularizer(what: str, regularizer: Any) -> Mapping[str, Any]:
    if isinstance(regularizer, Regularizer):
        return regularizer.to_config()
    try:
        return L1L2(l1=regularizer.l1, l2=regularizer.l2).to_config()
    except AttributeError as error:
        raise GraphError(
            f"{what}: a file cannot hold the regularizer {regularizer!r}; use L1, L2 or L1L2"
        ) from error
