"""The network of one tree: what a network that goes along trees means, written out.

Every layer gets a copy for each node of the tree at which it has something to do, all copies with
the same parameters. The result is an ordinary network without time: it can be run node by node,
checked, drawn and exported.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.temporal import BridgeConnections
from neurograph.graph.tree import Tree
from neurograph.graph.tree_fit import fitted_tree, fitted_trees, layers_below, tree_layer
from neurograph.graph.trees import TreeConnections

Place = tuple[int, int]  # number of the tree, node in it; -1 for a layer outside of the tree
Copies = dict[int, dict[Place, Layer]]  # by id of the layer


def tree_network(network: Network, tree: Any) -> Network:
    """Return the network that stands for one tree: a copy of each layer at every node.

    The copies share the network's parameters; a change of a weight or of what is trained holds for
    both. A copy at node 3 (children come first, the root last) is called ``name@3``, the last copy
    of each layer has the layer's own name. Inputs are the values of the nodes that have one, in
    order, as ``tree_values`` gives them; outputs are those of the network: at the root, or at every
    node in order.

    Parameters
    ----------
    network : Network
        With a layer such as ``Recursive`` or ``ChildSumTreeLSTM``.
    tree : Tree, or nested tuples as the layer takes them
        A list of trees makes one network of all of them, its copies called ``name@1:3``.

    Raises
    ------
    GraphError
        The network has no tree layer, or the tree does not fit; with the place in the tree.
    DataError
        A value is no vector.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((2,)), ng.Recursive(2, name="p")], seed=0)
    >>> grown = ng.tree_network(net, (([1, 2], [3, 4]), [5, 6]))
    >>> print(grown)
    network: 2 + 2 + 2 -> 2, 1 layer with weights, 40 connections, 10 parameters
    >>> grown.layer("p/inner@2")[0].upstream[0].parameter is net.parameters["p/kernel"]
    True
    """
    several = isinstance(tree, list)
    trees = fitted_trees(network, tree) if several else [fitted_tree(network, tree)]
    below = layers_below(network, tree_layer(network))
    copies: Copies = {}
    for layer in network.all_layers:
        places = [
            (number, node)
            for number, each in enumerate(trees)
            for node in _nodes(layer, id(layer) in below, each)
        ]
        copies[id(layer)] = {
            place: _copy(layer, place, several, is_last=place == places[-1]) for place in places
        }
    for layer in network.all_layers:
        for place in copies[id(layer)]:
            for bundle in layer.incoming:
                _join(bundle, place, copies, trees[place[0]])
    _drop_zeros([each for found in copies.values() for each in found.values()])
    grown = Network(
        inputs=_ends(network.inputs, copies),
        outputs=_ends(network.outputs, copies),
        name=network.name,
    )
    share_parameters(network, grown)
    return grown


def tree_values(network: Network, tree: Any) -> list[Any]:
    """Return the values of a tree's nodes as the inputs of its ``tree_network``.

    Parameters
    ----------
    network : Network
    tree : Tree, nested tuples, or a list of trees

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((2,)), ng.Recursive(2)])
    >>> [each.tolist() for each in tree_values(net, ([1, 2], [3, 4]))]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    several = isinstance(tree, list)
    trees = fitted_trees(network, tree) if several else [fitted_tree(network, tree)]
    return [
        each.values[node]
        for each in trees
        if each.values is not None
        for node in np.flatnonzero(each.given)
    ]


# copies -------------------------------------------------------------------------------------------


def _nodes(layer: Layer, is_below: bool, tree: Tree) -> list[int]:
    """Return the nodes of a tree at which a layer has a copy; [-1] if it has one for all."""
    if not layer.sequence:
        return [-1]
    if is_below:
        return [int(node) for node in np.flatnonzero(tree.given)]
    return list(range(len(tree)))


def _copy(layer: Layer, place: Place, several: bool, is_last: bool) -> Layer:
    made = copied_layer(layer)
    made.config["copy"] = [layer.name, *place]
    if is_last:
        return made
    number, node = place
    which = [str(each) for each in ((number, node) if several else (node,)) if each >= 0]
    made.name = f"{layer.name}@{':'.join(which)}"
    made.parameters = {}
    return made


def copied_layer(layer: Layer) -> Layer:
    """Return a layer outside of time with the same nodes and parameters, that nothing feeds yet."""
    made = Layer(
        layer.shape,
        kind=layer.kind,
        name=layer.name,
        activation=layer.function or layer.activation,
        aggregation=layer.aggregation,
        role=layer.role,
    )
    made.parameters = dict(layer.parameters)
    made.config = {key: value for key, value in layer.config.items() if key != "trees"}
    return made


def copied_bundle(bundle: Bundle, source: Layer, target: Layer) -> Bundle:
    """Return a bundle with the same pattern and parameter between other layers of those shapes."""
    made = copy.copy(bundle)
    made.source, made.target, made.delay = source, target, 0
    made._handles = WeakValueDictionary()
    target.incoming.append(made)
    return made


def _join(bundle: Bundle, place: Place, copies: Copies, tree: Tree) -> None:
    target, sources = copies[id(bundle.target)][place], copies[id(bundle.source)]
    number, node = place
    if isinstance(bundle, TreeConnections):
        for other in bundle.sources_of(tree, node):
            source = sources.get((number, other))
            if source is not None:
                OneToOneConnections(source, target, target_start=(bundle.start,))
        return
    if isinstance(bundle, BridgeConnections) or bundle.delay:
        raise GraphError(
            f"{bundle.label}: it goes through time, but in a network along trees there is none"
        )
    source = sources.get((number, node if bundle.source.sequence else -1))
    if source is not None:
        copied_bundle(bundle, source, target)


def _drop_zeros(copies: list[Layer]) -> None:
    """Take out what nothing feeds, such as the sum of a leaf's children, where it adds nothing."""
    readers: dict[int, list[Bundle]] = {}
    for layer in copies:
        for bundle in layer.incoming:
            readers.setdefault(id(bundle.source), []).append(bundle)
    unfed = [layer for layer in copies if layer.role == "units" and not layer.incoming]
    while unfed:
        layer = unfed.pop()
        bundles = readers.get(id(layer), [])
        adds = all(bundle.target.aggregation == "sum" for bundle in bundles)
        if layer.function is None and layer.activation.function(0.0) == 0.0 and adds:
            for bundle in bundles:
                bundle.target.incoming.remove(bundle)
                if not bundle.target.incoming:
                    unfed.append(bundle.target)


def _ends(ports: Sequence[Port], copies: Copies) -> list[Layer]:
    return [layer for port in ports for layer in copies[id(port.layer)].values()]


def share_parameters(network: Network, other: Network) -> None:
    """Let a network made of another's parameters see its changes, and leave it their names."""
    other.version = network.version
    for name, parameter in network.parameters.items():
        parameter.name, parameter.version = name, network.version
